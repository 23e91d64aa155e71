"""One layer of a model against its null models: what in its spectrum is more than noise, and more than its entries."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from .. import atlas
from .._arrays import one_blas_thread
from ..analysis import LAYER_FAULTS, analyze, spectral_distance
from ..atlas import Layer
from ..ensembles.spectra import MOST_ENTRIES, MU, NULL_TITLES, OF_LAYER, noise_of_seed, scaled_to
from ..plotting import style
from ..plotting.spectra import VIEWS, plot_against, values_seen
from ..plotting.style import axes
from ..spectrum import Spectrum
from ..trainings.phases import phase
from .base import choice, number
from .layer_choice import MOST_BLOCKS, LayerChoice, LayerChoiceExplorer, Layers, atlas_layers, source_layers
from .upload import Upload

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 20  # eigenvalues that a phase is told from


class Opened(NamedTuple):
    """A file of the reader's own: its path and its layers for a seed."""

    path: str
    layers: Callable[[int], Layers]


class Compared(NamedTuple):
    """A layer, its null, their rows of the table, and the distance of the two spectra."""

    spectrum: Spectrum
    null: Spectrum
    row: Any
    null_row: Any
    distance: float


@lru_cache(maxsize=1024)
def _row(spectrum: Spectrum) -> Any:
    return analyze([spectrum]).iloc[0]


class LayerModel(LayerChoice):
    """A layer, a null and a view."""

    model = choice(lambda m: m.models(), "model", "minilm")
    role = choice(lambda m: list(m.layers()), "role", "query")
    block = number(3, 0, MOST_BLOCKS, step=1, label="block")
    null = choice(lambda m: m.nulls(), "null model")
    view = choice(VIEWS, "show")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "BERT query": {},
        "BERT feed-forward": {"role": "feed-forward in"},
        "GPT query": {"model": "smollm2", "block": 12},
        "GPT feed-forward": {"model": "smollm2", "role": "feed-forward in", "block": 12},
        "heavy tails": {"view": VIEWS[2], "null": "heavy-tailed, μ = 3"},
        "before training": {"model": "smollm2", "role": "value", "block": 4, "null": "initialisation"},
    }
    dependent = ("role", "null")
    source: ClassVar[str] = ""  # what was given beside the atlas, as it stands in the code

    def __init__(self, opened: Mapping[str, Opened] | None = None, **parameters: Any) -> None:
        self.opened = dict(opened or {})  # by the name that it is offered under
        super().__init__(**parameters)

    def copy(self, **changes: Any) -> Self:
        """The same state but for some values, with the file that was opened."""
        return type(self)(self.opened, **self.parameters() | changes)

    def models(self) -> list[str]:
        """The file that was opened, and the atlas."""
        return [*self.opened, *super().models()]

    def layers(self) -> Layers:
        """The layers of the present model."""
        opened = self.opened.get(self.model)
        return opened.layers(self.seed) if opened else super().layers()

    def nulls(self) -> list[str]:
        """What the present layer can be compared with."""
        layer = self.layer()
        lacking = {null for null, kind in OF_LAYER.items() if kind not in layer.nulls}
        if layer.init_std is None:
            lacking.add("initialisation")
        try:
            s = layer.spectrum
            heavy = s.N * s.M * s.rf <= MOST_ENTRIES
        except LAYER_FAULTS:
            heavy = False
        return [n for n in NULL_TITLES if n not in lacking and (heavy or MU[n] == math.inf)]

    def idle(self) -> Collection[str]:
        """The atlas has each layer randomised once."""
        idle = ["block"] if self.last_block() == 0 else []
        return [*idle, "seed"] if self.null in OF_LAYER and self.model in atlas.names() else idle

    def compute(self) -> Compared | str:
        """Both spectra and their rows; or why there is none."""
        layer = self.layer()
        try:
            spectrum = layer.spectrum
            null = self._null_of(layer, spectrum)
        except LAYER_FAULTS as error:  # of a layer with NaN, say; the others are still there to be looked at
            return f"{layer.name} of {self.model} has no spectrum: {error}"
        row, null_row = _row(spectrum), _row(null)
        compared = row.status == null_row.status == "success"
        return Compared(spectrum, null, row, null_row, spectral_distance(spectrum, null) if compared else math.nan)

    def _null_of(self, layer: Layer, spectrum: Spectrum) -> Spectrum:
        if self.null in OF_LAYER:
            return layer.null(OF_LAYER[self.null])
        s = spectrum
        noise = noise_of_seed(s.N, s.M, s.rf, MU[self.null], self.seed)
        if self.null == "initialisation" and layer.init_std:
            return Spectrum(layer.init_std * noise, s.N, s.M, s.rf)
        return scaled_to(noise, s)

    def draw(self, fig: Figure) -> Figure:
        """The spectrum over its null."""
        ax = axes(fig)
        if isinstance(self.result, str):
            style.finish(ax, f"{self.layer().name} has no spectrum", "", "", self.result)
        else:
            plot_against(self.result.spectrum, self.result.null, self.view, NULL_TITLES[self.null], ax)
        return fig

    def sentence(self) -> str:
        """Both rows in words, and the distance."""
        if isinstance(self.result, str):
            return f"{self.result}."
        spectrum, null, row, null_row, distance = self.result
        what = NULL_TITLES[self.null]
        noun, values, noise = values_seen(spectrum, null, self.view)
        seen = f"{spectrum.name} of {self.model}, {spectrum.N} × {spectrum.M}: {_in_words(row, spectrum)}. "
        seen += f"{what[:1].upper()}{what[1:]}: {_in_words(null_row, null)}. "
        if self.view == VIEWS[2]:
            seen += "On these axes a power law is a straight line"
        else:
            largest = (float(v.max(initial=0.0)) for v in (values, noise))
            seen += "The largest {}s are {:.3g} and {:.3g}".format(noun, *largest)
        if math.isnan(distance):
            return f"{seen}."
        return f"{seen}; the spectra are {distance:.2f} apart (0: the same, 0.83: as far as can be)."

    def code(self) -> str:
        """From the layer to the picture and the row."""
        own = self.model not in atlas.names()
        if self.null == "initialisation":
            null = f"layer.initialisation(rng={self.seed})"
        elif self.null in OF_LAYER:
            null = f"layer.null({OF_LAYER[self.null]!r})"
        else:
            mu = "" if MU[self.null] == math.inf else f"mu={MU[self.null]:g}, "
            null = f"matched_noise(spectrum, {mu}rng={self.seed})"
        lines = ["from rmt_lab import analyze" + ("" if own else ", atlas")]
        lines += ["from rmt_lab.analysis import layers_of"] * own
        lines += ["from rmt_lab.ensembles import matched_noise"] * ("matched" in null)
        lines += ["from rmt_lab.plotting import plot_against", ""]
        seed = f", rng={self.seed}" * bool(self.seed)
        source = repr(self.opened[self.model].path) if self.model in self.opened else self.source
        lines += [f"layer = next(layers_of({source}, layers=[{self.layer().layer_id}]{seed}))" if own else
                  f"layer = atlas.load({self.model!r})[{self.key()!r}]"]  # fmt: skip
        lines += ["spectrum = layer.spectrum", f"null = {null}"]
        lines += [f"plot_against(spectrum, null, view={self.view!r}, what={NULL_TITLES[self.null]!r})"]
        lines += ["print(analyze([spectrum, null]).T)"]
        return "\n".join(lines) + "\n"


def _in_words(row: Any, spectrum: Spectrum) -> str:
    """A row of the table, and the phase."""
    if row.status != "success":
        return str(row.status)
    tail = f"α = {row.alpha:.2f} ± {row.sigma:.2f} on {row.num_pl_spikes} of {row.num_evals} eigenvalues"
    noise = f"{style.count(row.num_spikes, 'spike')} beyond noise of σ = {row.sigma_mp:.3g}"
    if row.bulk_note:  # then what lies beyond is no signal in noise
        noise = f"{style.count(row.num_spikes_first, 'eigenvalue')} beyond noise of its own variance, no noise bulk"
    words = [f"{tail} with D√n = {row.D_sqrt_n:.2f}", noise, f"stable rank {row.stable_rank:.3g}"]
    return ", ".join([*words, *([phase(spectrum).name] if row.num_evals >= _FEWEST else [])])


def model_over(source: Any) -> type[LayerModel]:
    """A model that looks at a source of one's own first; see :class:`LayerExplorer`."""
    written = isinstance(source, (str, os.PathLike))
    shipped = isinstance(source, str) and source in atlas.names() and not os.path.exists(source)
    read = (lambda seed: atlas_layers(source)) if shipped else source_layers(source)
    name = os.path.basename(os.path.normpath(source)) if written else type(source).__name__
    in_code = repr(os.fspath(source)) if written else "source"

    class SourceModel(LayerModel):
        model = choice(lambda m: m.models(), "model", name)
        block = number(0, 0, MOST_BLOCKS, step=1, label="block")
        source = in_code
        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "singular values": {},
            "tail": {"view": VIEWS[2]},
            "eigenvalues": {"view": VIEWS[1]},
        }

        def models(self) -> list[str]:
            return [*self.opened, name, *(other for other in atlas.names() if other != name)]

        def layers(self) -> Layers:
            return read(self.seed) if self.model == name else super().layers()

    return SourceModel


class LayerExplorer(LayerChoiceExplorer):
    """A layer is more than noise where its spectrum leaves that of its null models, and each null asks something else.

    Shuffled entries keep the entries and lose their order; random signs keep the size of every entry in its place;
    entries shuffled within scales keep the scales of rows and columns. Gaussian noise keeps shape and norm;
    heavy-tailed noise adds huge entries without any order; the initialisation is what training began with.

    1. Take the shuffled entries, then Gaussian noise. Do they differ? What does that say about where the tail of the
       layer is: in the sizes of its entries, or in their order? Random signs keep large entries in their places: what
       is still beyond them is correlation.
    2. Predict first: does heavy-tailed noise of index 4, 3 or 2 come nearest to the layer? Check by the distance, then
       by alpha and its number of values. Is that evidence that the entries are heavy-tailed?
    3. Go from block to block, then to another role. Which layers hardly leave their initialisation?

    A checkpoint that is dropped on it, or chosen by "Open a file", becomes another model of its list.

    Parameters
    ----------
    source : optional
        Anything :func:`rmt_lab.analyze` takes, to look at beside the models of the atlas.
    **parameters
        Of the model.

    Attributes
    ----------
    upload : Upload
        Where the file is.

    Raises
    ------
    ValueError
        If the source cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> explorer = LayerExplorer({"layers.0.query.weight": np.random.default_rng(0).normal(size=(60, 40))})
    >>> explorer.model.model, explorer.model.role, explorer.model.null
    ('dict', 'query', 'shuffled entries')
    >>> explorer.figure().axes[0].get_title("left")
    '2 of 40 singular values exceed its shuffled entries'
    """

    model_class = LayerModel
    model: LayerModel

    def __init__(self, source: Any = None, **parameters: Any) -> None:
        if source is not None:
            self.model_class = model_over(source)  # type: ignore[misc]
        super().__init__(**parameters)
        self._names = set(self.model.models())  # of all models that were ever offered
        self.upload = Upload()
        self.upload.on_file(self._open)
        self.children = (self.upload, *self.children)  # type: ignore[has-type]

    def close(self) -> None:
        """Remove the explorer from the page, and the file that was opened."""
        if hasattr(self, "upload"):
            self.upload.close()
        super().close()

    def _open(self, path: str, name: str) -> None:
        """Offer a file as a model and show it, in place of the one before; its other layers are analysed meanwhile."""
        opened = Opened(path, source_layers(path))
        shown, n = name, 1
        while shown in self._names:  # two files may have one name, and pictures are remembered by it
            shown, n = f"{name} ({n + 1})", n + 1
        self._names.add(shown)
        self.model.opened = {shown: opened}
        self.controls["model"].options = self.model.options("model")  # which chooses the first: the file
        self._analyse(shown)

    def _analyse(self, name: str) -> None:
        """Make the spectra of all layers and of their nulls in a thread of its own, so that the controls stay free."""
        layers = [layer for of_role in self.model.opened[name].layers(0).values() for layer in of_role]
        many, said = style.count(len(layers), "layer"), ""

        def tell(words: str, fraction: float = -1.0) -> None:
            nonlocal said
            if self.upload.words == said or not said:  # otherwise another file has the word
                said = words
                self.upload.tell(words, fraction)

        def work() -> None:
            for i, layer in enumerate(layers, start=1):
                if name not in self.model.opened or self.upload.path is None:
                    return
                with suppress(*LAYER_FAULTS), one_blas_thread():  # the explorer says it of the layer that it shows
                    _row(layer.spectrum)
                    for kind in layer.nulls[:1]:
                        layer.null(kind)
                tenths = 10 * i // len(layers)  # in words, which a screen reader speaks; the bar shows every layer
                tell(f"{name} is open. Analysed: {10 * tenths} % of {many}.", i / len(layers))
            tell(f"{name} is open. Analysed: {many}.")

        tell(f"{name} is open.", 0.0)
        self._analysis = threading.Thread(target=work, daemon=True)
        try:
            self._analysis.start()
        except RuntimeError:  # no threads here: each layer is analysed when it is shown
            tell(f"{name} is open.")

    def __repr__(self) -> str:
        source = f"{self.model.source}, " if self.model.source else ""
        return super().__repr__().replace("(", f"({source}", 1)
