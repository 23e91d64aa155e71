"""The checker finds what it is there for."""

from checker import broken, foreign, read


def write(folder, **pages):
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")


def test_links_that_lead_nowhere(tmp_path):
    write(
        tmp_path,
        a='<h1 id="top">A</h1><a href="b.html#there">b</a><a href="#top">up</a><a href="https://example.org/x">out</a>',
        b='<p id="there"></p><a href="a.html#bottom">a</a><a href="c.html">c</a><img src="d.png" alt="d">',
    )
    assert broken(tmp_path) == ["b.html: no anchor a.html#bottom", "b.html: c.html", "b.html: d.png"]


def test_what_is_loaded_from_elsewhere(tmp_path):
    write(tmp_path, a='<script src="//cdn.example.org/x.js"></script><a href="https://example.org">only a link</a>')
    (tmp_path / "a.css").write_text("/* https://example.org */ p { background: url(https://example.org/p.png) }")
    assert foreign(tmp_path) == ["a.html: //cdn.example.org/x.js", "a.css: https://example.org/p.png"]


def test_words_of_pictures(tmp_path):
    write(tmp_path, a='<img src="a.png" alt="A &lt; B"><img src="b.png">')
    assert read(tmp_path / "a.html").pictures == {"a.png": "A < B", "b.png": ""}
