"""The page with one slider over pictures, opened from a file in a real browser."""

import contextlib

import pytest
from browser import SCREENSHOTS, WAIT, listen, page

from rmt_lab.explorers import FingerExplorer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def flipbook(tmp_path_factory):
    path = tmp_path_factory.mktemp("flipbook") / "fingers.html"
    FingerExplorer().flipbook("k", path)
    return path


@contextlib.contextmanager
def opened(path, width=1280, **context):
    """The page, and what went wrong on it or was asked of another place."""
    with page(width, 900) as first:
        tab = first.context.browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
        errors = listen(tab)
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else errors.append(r.url))
        tab.goto(path.as_uri())
        yield tab, errors


def seen(tab):
    return {
        "picture": tab.locator(".picture").get_attribute("src"),
        "sentence": tab.locator("[role=status]").inner_text(),
        "alt": tab.locator(".picture").get_attribute("alt"),
        "value": tab.locator("output").inner_text(),
        "spoken": tab.locator("[type=range]").get_attribute("aria-valuetext"),
    }


def sentence(**parameters):
    return FingerExplorer(**parameters).sentence


def test_the_slider_by_keyboard(flipbook):
    with opened(flipbook) as (tab, errors):
        slider = tab.get_by_role("slider", name="largest dropped k", exact=True)
        region = tab.locator("[role=status]").element_handle()
        before = seen(tab)
        assert before["sentence"] == before["alt"] == sentence(k=1)
        slider.focus()
        for key, k in (("ArrowRight", 2), ("End", 10), ("ArrowLeft", 9), ("Home", 0)):
            tab.keyboard.press(key)
            now = seen(tab)
            assert now["value"] == str(k)
            assert now["sentence"] == now["alt"] == sentence(k=k)
            assert now["picture"] != before["picture"]
            start, _, words = now["spoken"].partition(": ")
            assert start == f"largest dropped k {k}"
            assert len(words) > 20
            assert sentence(k=k).startswith(words)
            assert tab.evaluate("document.querySelector('.picture').decode().then(() => true)")
            before = now
        assert region.is_visible()  # the live region is the one that it was
        assert not errors


def test_presets_by_keyboard(flipbook):
    with opened(flipbook) as (tab, errors):
        button = {b.inner_text(): b for b in tab.get_by_role("group", name="presets").get_by_role("button").all()}
        pressed = lambda: [name for name, b in button.items() if b.get_attribute("aria-pressed") == "true"]  # noqa: E731
        assert pressed() == ["one finger"]
        button["raw"].press("Enter")
        assert (seen(tab)["value"], seen(tab)["sentence"], pressed()) == ("0", sentence(k=0), ["raw"])
        button["planted"].press("Space")
        planted = {"model": "minilm", "role": "query", "block": 3, "planted": 3, "k": 3}
        assert (seen(tab)["value"], seen(tab)["sentence"], pressed()) == ("3", sentence(**planted), ["planted"])
        assert "fingers planted: 3 instead of 0" in tab.locator(".note:visible").inner_text()
        tab.get_by_role("slider").press("ArrowRight")  # back to the values of the slider
        assert (seen(tab)["value"], seen(tab)["sentence"], pressed()) == ("4", sentence(k=4), [])
        assert not tab.locator(".note:visible").count()
        assert not errors


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits(flipbook, width, scheme):
    with opened(flipbook, width, color_scheme=scheme) as (tab, errors):
        high = tab.locator(".flipbook").bounding_box()["height"]
        tab.get_by_role("slider").press("End")
        assert tab.locator(".flipbook").bounding_box()["height"] == high  # nothing jumps
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / f"flipbook {width} {scheme}.png", full_page=True)
        assert not errors


def test_without_script_the_first_picture_is_there(flipbook):
    with opened(flipbook, java_script_enabled=False) as (tab, errors):
        assert tab.locator(".picture").is_visible()
        assert tab.locator("[role=status]").inner_text() == sentence(k=1)
        assert not tab.locator("[type=range]").is_visible()
        assert tab.locator("noscript").is_visible()
        assert not errors


def test_on_paper_there_is_the_picture_that_is_shown(flipbook):
    with opened(flipbook) as (tab, _):
        tab.get_by_role("slider").press("End")
        tab.emulate_media(media="print")
        assert tab.locator(".picture").is_visible()
        assert tab.locator(".value").inner_text() == "10"
        assert not tab.locator("[type=range]").is_visible()


def test_in_a_frame_it_leaves_the_title_out_tells_its_height_and_follows_the_colours(flipbook):
    outer = flipbook.with_name("outer.html")
    outer.write_text(
        "<!DOCTYPE html><html style='color-scheme: dark'><script>"
        "addEventListener('message', e => document.querySelector('iframe').height = e.data.flipbook)"
        f"</script><iframe title='f' width=700 height=10 style='border:0' src='{flipbook.name}'></iframe>"
    )
    with opened(outer, color_scheme="null") as (tab, errors):  # nothing imposed on both pages
        tab.wait_for_function("document.querySelector('iframe').height > 400", timeout=WAIT)
        inside = tab.frame_locator("iframe")
        assert not inside.locator("h1").is_visible()
        inside.get_by_role("slider").press("End")
        assert inside.locator("output").inner_text() == "10"
        box = tab.locator("iframe").bounding_box()["height"]
        assert inside.locator("html").evaluate("e => e.scrollHeight") == pytest.approx(box, abs=1)
        colours = inside.locator("body").evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert colours == ["rgb(232, 232, 232)", "rgba(0, 0, 0, 0)"]  # light, over what the page around it has
        tab.screenshot(path=SCREENSHOTS / "flipbook framed.png")
        assert not errors
