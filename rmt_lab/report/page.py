"""A page about a model that needs nothing else: one HTML file for the browser and the printer, or a PDF."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from .._files import check_output, written_whole
from .content import Column, Content, Picture, Section, content_of
from .paper import pdf, typst
from .text import csv


def write_page(source: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """Analyse a model and write one page to hand in: verdicts in words, figures against noise, and the table.

    The page is one file that loads nothing: pictures, style and script are in it. The script sorts and filters the
    table; without it the table is all there. Names from the source are text and never markup.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.analyze` takes.
    path : path
        ``.html``, or ``.pdf`` for the same content on paper (A4), which needs the package typst. The file is written
        whole or not at all.
    **options
        Those of :func:`rmt_lab.analyze`. Default here: ``verdict="quick"``, ``fix_fingers="clip_xmax"``. Each layer is
        compared with the null that ``randomize`` names; by default with "scaled", of the nulls that keep scales the one
        for which weights are enough, and with Gaussian noise where the source holds spectra alone.

    Raises
    ------
    ValueError
        If the path ends in something else, or as :func:`rmt_lab.analyze`.
    OSError
        If the path cannot be written to.
    ImportError
        If a PDF is asked for and typst is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from rmt_lab.ensembles import gaussian_spectrum
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "report.html"
    ...     write_page([gaussian_spectrum(200, 100, rng=0)], path)
    ...     "1 of 1 layers" in path.read_text()
    True
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"path={str(path)!r}; a page ends in {' or '.join(WRITERS)}")
    check_output(path)
    if path.suffix == ".pdf":
        typst()  # before the work begins
    content = content_of(source, **options)
    data = WRITERS[path.suffix](content)
    with written_whole(path) as file:
        file.write(data)


def html(content: Content) -> bytes:
    """The page as HTML."""
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # what was not written here cannot run, and nothing can be fetched
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = escape(content.title)
    contents = "".join(f'<li><a href="#{_anchor(s)}">{escape(s.title)}</a></li>' for s in content.sections)
    body = "\n".join(part for s in content.sections for part in _section(s, content))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{escape(content.lead)}</p></header>
<nav aria-label="contents"><ol>{contents}</ol></nav>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
""".encode()


#: How a page is written, by the ending of its file.
WRITERS = {".html": html, ".pdf": pdf}


def _anchor(section: Section) -> str:
    return section.title.lower().replace(" ", "-")


def _section(section: Section, content: Content) -> Iterator[str]:
    yield f'<section aria-labelledby="{_anchor(section)}"><h2 id="{_anchor(section)}">{escape(section.title)}</h2>'
    yield from (f"<p>{escape(words)}</p>" for words in section.paragraphs)
    if section.facts:
        yield "<dl>"
        yield from (f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in section.facts)
        yield "</dl>"
    yield from map(_figure, section.pictures)
    if section.has_table:
        yield from _table(content)
    yield "</section>"


def _figure(picture: Picture) -> str:
    width, height = picture.size
    data = base64.b64encode(picture.png).decode()
    return (
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="{escape(picture.caption)}">'
        f'<img width="{width}" height="{height}" alt="{escape(picture.alt)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _table(content: Content) -> Iterator[str]:
    data = base64.b64encode(csv(content.details).encode()).decode()
    yield f'<p class="legend">{escape(_legend(content.columns))}</p>'
    yield f'<p><a download="details.csv" href="data:text/csv;base64,{data}">The whole table as CSV</a></p>'
    yield '<div id="tools" hidden><label>Only rows with <input id="filter" type="search" autocomplete="off"></label>'
    yield f' <output id="count" for="filter">{len(content.details)} of {len(content.details)} rows</output></div>'
    yield '<div class="scroll table" tabindex="0" role="region" aria-label="table of all layers"><table id="layers">'
    yield "<thead><tr>"
    yield from (f'<th scope="col"{_class(c)}>{escape(c.head)}</th>' for c in content.columns)
    yield "</tr></thead><tbody>"
    for row in zip(*(c.cells for c in content.columns), strict=True):
        first, *rest = (
            f'{_class(c)} data-v="{escape(str(value))}">{escape(text)}'
            for c, (text, value) in zip(content.columns, row, strict=True)
        )
        yield f'<tr><th scope="row"{first}</th>' + "".join(f"<td{cell}</td>" for cell in rest) + "</tr>"
    yield "</tbody></table></div>"


def _class(column: Column) -> str:
    return ' class="n"' if column.is_number else ""


def _legend(columns: tuple[Column, ...]) -> str:
    """The meaning of each head of the table."""
    return "; ".join(f"{c.head}: {c.meaning}" for c in columns) + "."
