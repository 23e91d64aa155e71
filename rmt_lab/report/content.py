"""What a page about a model says, whatever it is written in: sections of words, pictures and the table."""

from __future__ import annotations

import io
import json
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from .. import atlas
from .._repr import printable, progress
from ..analysis import LAYER_FAULTS, Options, analyze, layers_of
from ..atlas import Layer
from ..bulk import fit_bulk
from ..ensembles.matrices import layer_stream
from ..ensembles.spectra import gaussian_spectrum
from ..plotting import alt_text, plot_alphas, plot_ecdf, plot_layer_grid, plot_pairs
from ..spectrum import Spectrum
from ..verdict import RULES
from ..weights.roles import ROLES
from .figures import new_canvas

#: What a page asks of :func:`rmt_lab.analyze` where its caller asks for nothing else.
DEFAULTS: dict[str, Any] = {"verdict": "quick", "fix_fingers": "clip_xmax"}
#: The verdicts in the words of a reader who has not read the rules.
MEANINGS = {
    "noise": "The largest eigenvalues fall off no slower than those of random numbers. The alpha of such a layer has "
    "no meaning.",
    "refuted": "The tail is heavy, but it bends more than a power law does. Alpha describes a curve that is not a "
    "power law.",
    "can't tell": "The data do not decide between the power law and its rivals, or the test has no answer.",
    "holds": "A power law fits. Its rivals, a lognormal and a truncated power law, do not.",
}
_NULLS = {
    "entries": "entries shuffled",
    "signs": "signs flipped at random",
    "scaled": "entries shuffled within the scales of rows and columns",
    "gaussian": "Gaussian noise, same shape and variance",
}
_KEEPS = {
    "entries": "The shuffle keeps the sizes of single weights. It destroys the scales of rows and columns together "
    "with all correlations, so that a difference may come from either.",
    "signs": "Random signs keep every size in its place and destroy correlations of signs.",
    "scaled": "The shuffle keeps the scales of rows and columns and destroys correlations. A difference from it comes "
    "from correlations between entries, or from single large entries, which this shuffle weakens.",
    "gaussian": "Gaussian noise keeps the shape and the mean square of the entries and nothing else. A difference from "
    "it is not yet a correlation.",
}
# Of 200 Gaussian matrices of 120 x 60, 384 x 384 and 1536 x 384 each (python -m benchmarks.nulls --copies). "scaled"
# takes the chance differences between rows and columns for scales and keeps them, and the shuffle adds its own.
_OF_NOISE = {
    "entries": "about half have a larger one than their copy",
    "signs": "about half have a larger one than their copy",
    "scaled": "only 27 to 34 % have a larger one than their copy, since the copy's is 1 to 3 % too large",
    "gaussian": "about half have a larger one than their copy",
}
_LABEL = 40  # characters of a name in a picture
_PANELS = 12  # of a grid; more cannot be read on paper
_COLOURS = 64  # of a picture: a third of the bytes, and no difference that an eye finds


@dataclass(frozen=True)
class Picture:
    """A figure as PNG, with its text alternative and its caption."""

    png: bytes
    alt: str
    caption: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs, then terms with their explanations, then pictures; perhaps the table."""

    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    has_table: bool = False


@dataclass(frozen=True)
class Column:
    """A column of the table: its head, what it means, and its cells as text with the value to sort by."""

    head: str
    meaning: str
    cells: tuple[tuple[str, float | str], ...]

    @property
    def is_number(self) -> bool:
        return any(isinstance(value, float) for _, value in self.cells)


@dataclass(frozen=True)
class Content:
    """All of a page."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    columns: tuple[Column, ...]
    details: pd.DataFrame


def content_of(source: Any, **options: Any) -> Content:
    """Analyse a source and say what is seen; ``options`` are those of :func:`rmt_lab.analyze`."""
    options = DEFAULTS | options
    if isinstance(source, Iterator):
        source = list(source)  # it is gone through twice
    with _cache(options.pop("cache", None)) as cache:
        details = analyze(source, **options, cache=cache)
        settings = replace(Options(**details.attrs["options"]), base=options.get("base"))
        pairs = list(_with_nulls(source, details, settings, cache))
    details = _with_columns(details, pairs, settings)
    kinds = [p.kind for p in pairs]
    kind = max(set(kinds), key=kinds.count) if kinds else "gaussian"
    ok = details[details["status"] == "success"]
    sections = [_limits(settings)]
    if len(ok):
        sections += [
            _verdicts(ok, settings),
            _against_nulls(ok, kind),
            _depth(ok, settings),
            _grids(pairs, kind),
            _fingers(ok, settings, kind),
        ]
    sections += [Section("All layers", (_TABLE,), has_table=True), _failed(details), _provenance(source, details, kind)]
    name = printable(Path(details.attrs["source"]).name or details.attrs["source"])
    lead = f"{len(ok)} of {len(details)} layers of {printable(details.attrs['source'])} were analysed."
    shown = tuple(s for s in sections if s.paragraphs or s.facts or s.pictures)
    return Content(f"Spectra of {name}", lead, shown, tuple(_columns(details)), details)


_TABLE = (
    "One row per layer. The eigenvalues are those of the correlation matrix of the weights, W transposed times W over "
    "N. The page also holds the whole table, with all columns, as a file."
)


@contextmanager
def _cache(given: Any) -> Iterator[Any]:
    """The folder given, or one that is gone at the end: so that no eigenvalue is computed twice."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="rmt-lab-") as folder:
        yield folder


@dataclass(frozen=True)
class _Pair:
    """A layer's spectrum and that of its null, without its weights."""

    layer_id: int
    role: str
    spectrum: Spectrum
    kind: str
    null: Spectrum | None


def _with_nulls(source: Any, details: pd.DataFrame, options: Options, cache: Any) -> Iterator[_Pair]:
    drawn = [int(i) for i in details.loc[details["status"] == "success", "layer_id"]]
    if not drawn:
        return
    how = (options.split_qkv, options.rng, cache, options.method, options.device, options.base)
    layers = layers_of(source, drawn, *how)
    for layer in progress(layers, desc="nulls", unit="layers", total=len(drawn)):
        kind, null = _null(layer, options)
        yield _Pair(layer.layer_id, layer.role, layer.spectrum, kind, null)
        del layer  # and its matrix, before the next one is read


def _null(layer: Layer, options: Options) -> tuple[str, Spectrum | None]:
    """The null that keeps most, of those at hand; without weights a Gaussian matrix."""
    kinds = [options.randomize] if options.randomize else [k for k in ("scaled", "entries") if k in layer.nulls]
    s = layer.spectrum
    try:
        if kinds:
            return str(kinds[0]), layer.null(kinds[0])  # type: ignore[arg-type]
        # a stream of its own: noise that was given may have been drawn with rng=0, 1, 2, and would be its own null
        rng = layer_stream(options.rng, layer.layer_id)
        return "gaussian", gaussian_spectrum(s.N, s.M, s.entry_std, rng) if s.rf == 1 else None
    except LAYER_FAULTS:
        return str(kinds[0]), None


def _with_columns(details: pd.DataFrame, pairs: list[_Pair], options: Options) -> pd.DataFrame:
    """The table with what the same analysis says of the nulls."""
    found: dict[int, tuple[float, ...]] = {}
    for p in pairs:
        if p.null is None or p.null.rank < options.min_evals:
            continue
        fit = options.fit(p.null)
        figures = fit.raw.alpha, fit.num_fingers, fit_bulk(p.null).num_spikes, p.null.eigenvalues[-1]
        found[p.layer_id] = (*figures, p.spectrum.eigenvalues[-1])
    names = ["null_raw_alpha", "null_num_fingers", "null_num_spikes", "null_max_eval", "max_eval"]
    columns = np.array([found.get(i, (np.nan,) * len(names)) for i in details["layer_id"]]).reshape(-1, len(names))
    out = details.assign(**dict(zip(names, columns.T, strict=True)))
    out.attrs = details.attrs
    return out


def _limits(options: Options) -> Section:
    paragraphs = [
        "This page says of each layer whether its largest eigenvalues follow a power law, with which exponent alpha, "
        "and how they differ from those of the same layer after its structure has been destroyed.",
        "It does not say how well the model works: only weights were seen, and no data. An alpha between 2 and 6 is no "
        "proof of good training, since the alpha of pure noise depends on the shape of the matrix. Alphas of layers of "
        "different shapes cannot be compared. The test takes the rows of a matrix to be independent.",
    ]
    if options.verdict == "quick":
        paragraphs.append(
            "The verdicts are quick ones: their p-values come from tables, and alpha has no interval. Before a single "
            "layer is quoted, judge it with verdict=True."
        )
    return Section("What this page can and cannot say", tuple(paragraphs))


def _verdicts(ok: pd.DataFrame, options: Options) -> Section:
    if not options.verdict:
        return Section("Verdicts", ("No verdicts were asked for (verdict=False).",))
    counts = ok["verdict"].value_counts()
    facts = [(f"{word}: {counts[word]} of {len(ok)} layers", MEANINGS[word]) for word in RULES if word in counts]
    q = ok["verdict_q"].to_numpy(float)
    paragraphs = [
        f"In {counts.get('holds', 0)} of {len(ok)} layers the test speaks for a power law and against its rivals. "
        f"In {counts.get('noise', 0)} the tail is no heavier than that of noise."
    ]
    tested, refuted = int(np.isfinite(q).sum()), int((q <= 0.1).sum())
    if tested:
        paragraphs.append(
            f"The test of a power law has an answer for {tested} {_plural(tested, 'layer')}. After correction for that "
            f"number of tests, {refuted} power {_plural(refuted, 'law')} {'is' if refuted == 1 else 'are'} refuted "
            "at a false discovery rate of 10 %."
        )
    if (held := ok[ok["verdict"] == "holds"]).size:
        right, wrong = (100 * float(held[c].median()) for c in ("rate_power_law", "rate_rivals"))
        names = ", ".join(held["name"].map(printable)[:12]) + (", ..." if len(held) > 12 else "")
        told = f"The word “holds” was given to: {names}."
        if np.isfinite(right + wrong):
            told += (
                f" In simulations of the nearest shapes, judged in full, {right:.0f} % of true power laws get it, and "
                f"{wrong:.0f} % of matrices without one."
            )
        paragraphs.append(told)
    noted = ok[ok["verdict_note"] != ""]
    kinds = noted["verdict_note"].map(lambda note: re.sub(r"\d[\d.e+-]*", "", note))  # one reason, other numbers
    for _, alike in sorted(noted.groupby(kinds), key=lambda group: -len(group[1])):
        n, first = len(alike), alike.iloc[0]
        such = f"such as {printable(first['name'])}" if n > 1 else printable(first["name"])
        facts.append((f"No answer for {n} {_plural(n, 'layer')}, {such}", printable(first["verdict_note"])))
    return Section("Verdicts", tuple(paragraphs), tuple(facts))


def _plural(n: int, noun: str) -> str:
    return noun if n == 1 else f"{noun}s"


def _against_nulls(ok: pd.DataFrame, kind: str) -> Section:
    title, both = "Against noise", ok.dropna(subset=["null_raw_alpha"])
    if both.empty:
        return Section(title, ("No layer has a noise to compare with.",))
    n, (raw, null) = len(both), (both[c].to_numpy(float) for c in ("raw_alpha", "null_raw_alpha"))
    smaller = int((raw < null).sum())
    beyond = int((both["max_eval"] > both["null_max_eval"]).sum())
    share, null_share = (float((both[c] / both["num_evals"]).median()) for c in ("num_spikes", "null_num_spikes"))
    notes = int((ok["bulk_note"] != "").sum())
    paragraphs = [
        f"Each layer is compared with a copy: {_NULLS[kind]}. {_KEEPS[kind]}",
        f"The same power law was fitted to each layer and to its copy. The median of alpha before any fixing is "
        f"{np.median(raw):.2f} in the {n} {_plural(n, 'layer')} and {np.median(null):.2f} in the copies. Alpha is "
        f"smaller than in the copy in {smaller} of {n} {_plural(n, 'layer')}. Of Gaussian matrices, about half have a "
        "smaller alpha than their copy.",
        f"The largest eigenvalue is larger than in the copy in {beyond} of {n} {_plural(n, 'layer')}. Of Gaussian "
        f"matrices, {_OF_NOISE[kind]}.",
        f"The median share of eigenvalues beyond the noise bulk is {100 * share:.1f} % in the layers and "
        f"{100 * null_share:.1f} % in the copies.",
    ]
    if notes:
        paragraphs.append(
            f"In {notes} of {len(ok)} {_plural(len(ok), 'layer')} what is left as the bulk is not noise, so that their "
            "number of eigenvalues beyond the bulk is no number of signals."
        )
    ax = new_canvas(9, 5.4).add_subplot()
    name = "Gaussian noise" if kind == "gaussian" else "copies"
    plot_ecdf({"layers": raw, name: null}, ax, "exponent α before fixing", "layer", noise=[name], log=True)
    caption = "The alphas of all layers and of their copies. The curve further to the left has smaller alphas."
    return Section(title, tuple(paragraphs), pictures=(_picture(ax.figure, caption),))


def _depth(ok: pd.DataFrame, options: Options) -> Section:
    title = "Alpha against depth"
    if not (ok["block"].notna() & ok["alpha"].notna()).any():
        return Section(
            title, ("The names of the layers tell no blocks, so that there is no depth to draw alpha against.",)
        )
    ax = new_canvas(10, 6.2).add_subplot()
    plot_alphas(ok, ax, by_depth=True)
    fixed = f" after fingers were fixed by {options.fix_fingers}" if options.fix_fingers else ""
    caption = f"Alpha of each layer in a block{fixed}; the line is the median of the block. "
    caption += "Compare markers of one kind only: their matrices have the same shape. Grey levels are WeightWatcher's."
    return Section(title, pictures=(_picture(ax.figure, caption),))


def _grids(pairs: list[_Pair], kind: str) -> Section:
    groups: dict[str, list[_Pair]] = {role: [] for role in ROLES}
    for p in pairs:
        groups[p.role].append(p)
    pictures = []
    for role, group in groups.items():
        if not group:
            continue
        some = [group[i] for i in np.unique(np.linspace(0, len(group) - 1, _PANELS).round().astype(int))]
        columns = len(some) if len(some) < 4 else 4
        fig = new_canvas(max(2.55 * columns, 6.6), 1.6 * -(-len(some) // columns) + 1.7)
        spectra = [replace(p.spectrum, name=_label(p.spectrum.name)) for p in some]
        plot_layer_grid(spectra, [p.null for p in some], fig=fig, noise="copy")  # the caption says which
        whole = len(some) == len(group)
        which = (
            "its only layer"
            if len(group) == 1
            else f"all {len(group)}"
            if whole
            else f"{len(some)} of {len(group)}, evenly spaced"
        )
        pictures.append(_picture(fig, f"Role “{role}”, {which}. Bars: the layer. Dashed outline: {_NULLS[kind]}."))
    words = "Singular values of the layers, one panel per layer, over those of their copies."
    return Section("Layers against noise", (words,), pictures=tuple(pictures))


def _label(name: str) -> str:
    """A name from a file for a picture, where $ would begin a formula and a long one leaves no room for the panel."""
    text = printable(name)
    text = text if len(text) <= _LABEL else f"{text[: _LABEL // 2]}...{text[-_LABEL // 2 :]}"
    return text.replace("$", r"\$")


def _fingers(ok: pd.DataFrame, options: Options, kind: str) -> Section:
    title, rule = "Fingers", options.fix_fingers
    if rule is None:
        return Section(title, ("No rule for fingers was asked for (fix_fingers=None). Alpha is the raw one.",))
    changed = ok[ok["num_fingers"] > 0]
    copies = ok["null_num_fingers"].dropna()
    paragraphs = [
        "A finger is an eigenvalue far beyond the others. It can push the fit to a tail of a few values with a very "
        f"large alpha. The rule {rule} drops such eigenvalues in {len(changed)} of {len(ok)} "
        f"{_plural(len(ok), 'layer')}. The mean alpha goes from {ok['raw_alpha'].mean():.2f} to "
        f"{ok['alpha'].mean():.2f}; "
        f"{int((ok['raw_alpha'] > 8).sum())} alphas are above 8 before and {int((ok['alpha'] > 8).sum())} after.",
        "A smaller alpha is no better fit. The raw fit is the one with the least distance D to its data, and every "
        "other fit looks worse by D. Both alphas are in the table.",
    ]
    if len(copies):
        paragraphs.append(
            f"The same rule drops eigenvalues in {int((copies > 0).sum())} of {len(copies)} copies "
            f"({_NULLS[kind]}). A dropped eigenvalue alone is no proof of structure."
        )
    if changed.empty:
        return Section(title, tuple(paragraphs))
    ax = new_canvas(9, 7 if len(changed) > 12 else 4.6).add_subplot()
    shown = changed.assign(name=changed["name"].map(_label))
    plot_pairs(shown, "raw_alpha", "alpha", ax, "exponent α", ("raw", "fingers fixed"), log=True)
    caption = (
        f"Alpha before (square) and after (circle) in the {len(changed)} layers in which the rule drops eigenvalues."
    )
    return Section(title, tuple(paragraphs), pictures=(_picture(ax.figure, caption),))


def _failed(details: pd.DataFrame) -> Section:
    failed = details[details["status"] != "success"]
    facts = [
        (printable(row["longname"]), printable(row["status"].removeprefix("failed: "))) for _, row in failed.iterrows()
    ]
    words = (
        f"{len(failed)} of {len(details)} layers could not be analysed." if facts else "All layers could be analysed."
    )
    return Section("Layers without an answer", (words,), tuple(facts))


def _provenance(source: Any, details: pd.DataFrame, kind: str) -> Section:
    a = details.attrs
    facts = {"source": a["source"]}
    if isinstance(source, str) and not Path(source).exists() and source in atlas.names():
        facts |= {k: str(v) for k, v in atlas.load(source).provenance.items()}
    facts |= {
        "noise of this page": _NULLS[kind],
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": ", ".join(f"{k} {v}" for k, v in (a["versions"] | {"Python": platform.python_version()}).items()),
        "options": json.dumps(a["options"]),
        "the same table again": f"rmt_lab.analyze({a['source']!r}, **options)",
    }
    return Section("Where this comes from", facts=tuple((k, printable(v)) for k, v in facts.items()))


def _number(value: Any, digits: int | None = None) -> tuple[str, float | str]:
    """The text of a cell, and what it is sorted by; missing values have an empty one."""
    if pd.isna(value):
        return "–", ""
    x = float(value)
    return (f"{x:.{digits}f}" if digits is not None and abs(x) < 1000 else f"{x:.6g}"), x


def _columns(details: pd.DataFrame) -> Iterator[Column]:
    """The columns that fit a page, of those that the table has."""
    numbers: Mapping[str, tuple[str, str, int | None]] = {
        "N": ("N", "larger side", None),
        "M": ("M", "smaller side", None),
        "alpha": ("α", "exponent, after fingers were fixed", 2),
        "sigma": ("σ", "standard error of alpha", 2),
        "raw_alpha": ("raw α", "exponent before fingers were fixed", 2),
        "num_fingers": ("fingers", "eigenvalues dropped, as the rule counts them", None),
        "null_raw_alpha": ("noise α", "raw alpha of the copy that is noise", 2),
        "num_spikes": ("spikes", "eigenvalues beyond the noise bulk", None),
        "stable_rank": ("stable rank", "sum of all eigenvalues over the largest", 1),
        "verdict_q": ("q", "p-value of the power law after correction for all layers", 3),
    }
    names = [printable(str(name)) for name in details["name"]]
    yield Column("layer", "short name", tuple((name, name) for name in names))
    ok = details["status"] == "success"
    words = details["verdict"].where(ok, "failed") if "verdict" in details else details["status"].str.slice(0, 7)
    yield Column("verdict", "what may be said of the power law", tuple((str(w), str(w)) for w in words))
    for key, (head, meaning, digits) in numbers.items():
        if key in details and details[key].notna().any():
            yield Column(head, meaning, tuple(_number(value, digits) for value in details[key]))


def _picture(figure: Any, caption: str, dpi: float = 120) -> Picture:
    assert isinstance(figure, Figure)
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi)
    image = Image.open(raw).convert("RGB").quantize(_COLOURS)
    image.save(small, "PNG", optimize=True)
    return Picture(small.getvalue(), alt_text(figure), caption, image.size)
