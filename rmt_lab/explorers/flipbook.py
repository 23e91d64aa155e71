"""A page with one slider over pictures that were made before: one HTML file that needs no kernel and no network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from .._files import check_output, written_whole
from .base import Model
from .sweep import Frame, frame, same_but, thinned, value_in_words

DPI = 105  # points of a picture per inch of its figure
MOST = (45, 30, 20)  # frames, about; the first number with which the page is small enough
LARGEST = 1_300_000  # bytes of a page
_COLORS = 96  # of a picture: its few plain ones and the steps between them, each within 25 of 255


def write_flipbook(model: Model, name: str, path: str | os.PathLike[str], title: str, idea: str) -> None:
    """Write the page; see :meth:`rmt_lab.explorers.view.Explorer.flipbook`."""
    path = Path(path)
    if path.suffix != ".html":
        raise ValueError(f"path={str(path)!r}; a flipbook ends in .html")
    check_output(path)
    if name in model.idle() or len(thinned(model, name, MOST[0])) < 2:
        raise ValueError(f"name={name!r}; it changes nothing while {_state(model, model.parameters(), name)}")
    for most in MOST:
        data = _page(model, name, thinned(model, name, most), title, idea)
        if len(data) <= LARGEST:
            break
    with written_whole(path) as file:
        file.write(data)


def _page(model: Model, name: str, values: list[Any], title: str, idea: str) -> bytes:
    control = model.controls()[name]
    label, start = control["label"], values.index(getattr(model, name))
    frames = [_turned(model, name, values, frame(model, DPI, **{name: value})) for value in values]
    presets = []
    for preset in model.presets:
        wanted = model.preset_values(preset)
        if same_but(model, preset, name):
            number = values.index(wanted[name])
        else:
            number = len(frames)
            frames.append(_turned(model, name, values, frame(model, DPI, **wanted)))
        presets.append({"name": preset, "frame": number})
    log = bool(control.get("log"))
    book = {"label": label, "steps": len(values), "log": log, "frames": frames, "presets": presets}
    heading = f"{title[:1].upper()}{title[1:]}: {label}"
    if control["control"] == "number":
        span = f"{value_in_words(values[0])} to {value_in_words(values[-1])}"
        heading = heading.replace("…", span) if "…" in label else f"{heading} from {span}"
    longest = max((shown["sentence"] for shown in frames), key=len)
    style, script = (
        resources.files(__package__).joinpath(f"frames.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    script += (
        "flipbook(document.querySelector('.flipbook'), JSON.parse(document.getElementById('book').textContent));\n"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # what was not written here cannot run, and nothing can be fetched
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    shown, (width, height) = frames[start], (round(DPI * inches) for inches in model.figsize)
    embedded = json.dumps(book, ensure_ascii=False).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(heading)}</title>
<style>{style}</style>
</head>
<body>
<main class="flipbook" style="--wide: {width}px">
<header><h1>{escape(heading)}</h1><p>{escape(idea.replace("``", ""))}</p></header>
<div class="controls" hidden>
<div class="presets" role="group" aria-label="presets"></div>
<div class="named"><label for="slider">{escape(label)}</label><output class="value" for="slider"></output></div>
<input class="slider" id="slider" type="range" min="0" max="{len(values) - 1}" value="{start}" autocomplete="off">
</div>
<figure>
<img class="picture" width="{width}" height="{height}" decoding="sync" src="{shown["picture"]}" alt="{escape(shown["sentence"])}">
<figcaption data-longest="{escape(longest)}"><p class="words" role="status">{escape(shown["sentence"])}</p></figcaption>
</figure>
<p class="state">{escape(shown["state"])}</p>
<p class="note"></p>
<noscript><p class="note">The slider of this page needs JavaScript. This is its picture at {escape(label)} {escape(shown["value"])}.</p></noscript>
</main>
<script type="application/json" id="book">{embedded}</script>
<script type="module">{script}</script>
</body>
</html>
""".encode()  # noqa: E501


def _turned(model: Model, name: str, values: list[Any], made: Frame) -> dict[str, Any]:
    """A frame as the page has it: where the slider stands, the picture, and all that is said of it."""
    controls, value = model.controls(), made.parameters[name]
    changed = [n for n in controls if n != name and made.parameters[n] != getattr(model, n)]
    instead = [
        f"{_named(controls[n]['label'], made.parameters[n])} instead of {value_in_words(getattr(model, n))}"
        for n in changed
    ]
    note = f"This picture is not one of the slider's. It has {'; '.join(instead)}." if changed else ""
    at = value if controls[name]["control"] == "number" else values.index(value) if value in values else 0
    return {
        "at": at,
        "value": value_in_words(value),
        "picture": f"data:image/webp;base64,{base64.b64encode(webp(made.picture)).decode()}",
        "sentence": made.sentence,
        "state": _state(model, made.parameters, name),
        "note": note,
    }


def _state(model: Model, parameters: dict[str, Any], name: str) -> str:
    """All parameters that do something but one, in words."""
    idle = model.copy(**parameters).idle()
    labels = {n: control["label"] for n, control in model.controls().items()} | {"seed": "sample no."}
    seen = [_named(labels[n], parameters[n]) for n in labels if n != name and n not in idle]
    return " · ".join(seen)


def _named(label: str, value: Any) -> str:
    """``"columns M: 200"``; ``"xmin: the top 40 %"`` where the label has a place for the value."""
    words = value_in_words(value)
    return label.replace("…", words) if "…" in label else f"{label}{':' * (label[-1] != '.')} {words}"


def webp(png: bytes) -> bytes:
    """A picture in 96 colours, as a lossless WebP: a fifth of the size of a light PNG."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.convert("RGB").save(file, "WEBP", lossless=True)
    return file.getvalue()
