"""Every layer of a model -> one table."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from numbers import Integral
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from . import __version__, atlas
from ._arrays import Matrix, one_blas_thread
from ._repr import progress
from .atlas import Layer
from .bulk import BulkFit, fit_bulk
from .ensembles.matrices import NULLS, Null, layer_stream, null_matrix
from .spectrum import Spectrum
from .spectrum.devices import check_device
from .spectrum.kept import KeptSpectra, digest
from .spectrum.solvers import METHODS, Solver
from .tails import fingers
from .tails.erg import erg as erg_tail
from .tails.erg import erg_p
from .tails.fingers import FingerFit, Rule, check_finger_options
from .tails.power_law import EXACT_SHARE, large_spectrum
from .verdict import Verdict, false_discovery_rate
from .verdict import verdict as judge
from .weights.adapters import FoundMerged, FoundProduct, find_merged, find_products, is_adapter
from .weights.pairs import FoundChange, find_changes
from .weights.read import FoundMatrix, find_weights, select_layers

_LOOK = ["layer_id", "name", "longname", "layer_type", "block", "role", "N", "M", "Q", "rf", "num_evals", "num_exact"]
_FIT = [
    *("alpha", "alpha_weighted", "D", "sigma", "xmin", "xmax", "num_pl_spikes", "num_fingers"),
    *("raw_alpha", "D_sqrt_n", "raw_D_sqrt_n"),
]
_NORM = [
    *("norm", "log_norm", "spectral_norm", "log_spectral_norm", "log_alpha_norm"),
    *("stable_rank", "matrix_rank", "stored_rank", "rank_loss", "entropy", "sv_max", "sv_min"),
]
_VERDICT = [*(f.name for f in fields(Verdict)), "verdict_q"]
_BULK = {
    "num_spikes": "num_spikes",
    "num_spikes_first": "num_spikes_first",
    "sigma_mp": "sigma_mp",
    "sigma_mp_error": "sigma_error",
    "mp_softrank": "mp_softrank",
    "bulk_min": "lower_edge",
    "bulk_max": "upper_edge",
    "bulk_D": "D",
    "bulk_note": "note",
}  # by the attribute of the BulkFit
_ERG = ["num_erg", "erg_gap", "erg_gap_share", "erg_p"]
_RANDOM = [*(f"rand_{c}" for c in _BULK), "max_rand_eval", "rand_distance"]
_END = ["status", "warning"]
#: What weights are found as: a matrix, or one that is made of several.
Found = FoundMatrix | FoundChange | FoundProduct | FoundMerged
SMALLEST, LARGEST = 1e-140, 1e150  # of the largest singular value: its square, times rounding, is a normal float
#: What is wrong with a layer, not with the code: such errors end up in the layer's row.
LAYER_FAULTS = (ValueError, np.linalg.LinAlgError, MemoryError, OSError)


@dataclass(frozen=True)
class Options:
    """The settings of :func:`analyze`, which explains them; ``analyze(source, **options.record())`` makes it again.

    Raises
    ------
    ValueError, TypeError
        If a setting is not allowed; the message names it.

    Examples
    --------
    >>> Options(fix_fingers="outliers").rng
    0
    """

    fix_fingers: Rule | None = None
    randomize: bool | Null = False
    verdict: bool | Literal["quick"] = False
    layers: list[int | str] | None = None
    split_qkv: bool = False
    min_evals: int = 10
    min_tail: int = 2
    max_fingers: int = 10
    finger_thresh: float = 1.0
    rng: int = 0
    method: Solver = "gram"
    device: str = "cpu"
    base: Any = None
    erg: bool = False

    def __post_init__(self) -> None:
        check_finger_options(self.fix_fingers, self.max_fingers, self.finger_thresh, name="fix_fingers")
        is_bool = isinstance(self.randomize, bool | np.bool_)
        if not (is_bool or (isinstance(self.randomize, str) and self.randomize in NULLS)):
            raise ValueError(f"randomize={self.randomize!r}; allowed are False, True, {', '.join(map(repr, NULLS))}")
        if not (
            isinstance(self.verdict, bool | np.bool_) or (isinstance(self.verdict, str) and self.verdict == "quick")
        ):
            raise ValueError(f"verdict={self.verdict!r}; allowed are True, False and 'quick'")
        for name in ("split_qkv", "erg"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name}={getattr(self, name)!r}; allowed are True and False")
        for name, why in (
            ("min_evals", "a power law needs at least 2 eigenvalues"),
            ("min_tail", "a tail has at least 2 eigenvalues"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name}={value!r}; a whole number is allowed")
            if value < 2:
                raise ValueError(f"{name}={value}; {why}")
        if isinstance(self.rng, bool) or not isinstance(self.rng, Integral) or self.rng < 0:
            raise ValueError(f"rng={self.rng!r}; a seed (a whole number >= 0), a Generator and None are allowed")
        # plain types, so that the settings survive JSON
        plain: dict[str, Any] = {"split_qkv": bool(self.split_qkv), "erg": bool(self.erg)}
        plain["verdict"] = "quick" if isinstance(self.verdict, str) else bool(self.verdict)
        plain["randomize"] = (NULLS[0] if self.randomize else False) if is_bool else str(self.randomize)
        plain |= {name: int(getattr(self, name)) for name in ("min_evals", "min_tail", "max_fingers", "rng")}
        plain["finger_thresh"] = float(self.finger_thresh)
        if self.layers is not None:
            given = self.layers if isinstance(self.layers, list | tuple) else [self.layers]
            if any(isinstance(x, bool) or not isinstance(x, Integral | str) for x in given):
                raise TypeError(f"layers={self.layers!r}; layer ids (int) and names or roles (str) are allowed")
            plain["layers"] = [str(x) if isinstance(x, str) else int(x) for x in given]
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r}; allowed are {', '.join(map(repr, METHODS))}")
        if self.method == "top" and self.fix_fingers == "xmin_peak":
            raise ValueError("fix_fingers='xmin_peak' needs all eigenvalues, of which method='top' estimates most")
        if self.method == "top" and self.erg:
            raise ValueError("erg=True needs all eigenvalues, of which method='top' estimates most")
        plain["device"] = check_device(self.device, self.method)
        plain["fix_fingers"] = None if self.fix_fingers is None else str(self.fix_fingers)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def record(self) -> dict[str, Any]:
        """The settings as they survive JSON: a ``base`` in memory as its type in brackets, which cannot be read."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.base is not None:
            on_disk = isinstance(self.base, str | os.PathLike)
            settings["base"] = os.fspath(self.base) if on_disk else f"({type(self.base).__name__})"
        return settings

    def fit(self, spectrum: Spectrum) -> FingerFit:
        """The power law of a spectrum's tail under these settings."""
        return fingers.fix_fingers(
            spectrum, self.fix_fingers, self.max_fingers, self.finger_thresh, min_tail=self.min_tail
        )


def analyze(
    source: Any,
    fix_fingers: Rule | None = None,
    randomize: bool | Null = False,
    verdict: bool | Literal["quick"] = False,
    layers: Iterable[int | str] | int | str | None = None,
    split_qkv: bool = False,
    min_evals: int = 10,
    min_tail: int = 2,
    max_fingers: int = 10,
    finger_thresh: float = 1.0,
    n_jobs: int | None = None,
    rng: np.random.Generator | int | None = 0,
    cache: str | os.PathLike[str] | None = None,
    method: Solver = "gram",
    device: str = "cpu",
    base: Any = None,
    erg: bool = False,
) -> pd.DataFrame:
    """One row per layer: the power law of its tail, its norms, and its bulk against Marchenko-Pastur noise.

    Columns that WeightWatcher also has bear its names. ``alpha, D, sigma, xmin, xmax, num_pl_spikes`` describe the
    accepted fit, ``raw_alpha`` the one before fingers were fixed; ``alpha_weighted = raw_alpha * log10(spectral_norm)``
    and ``log_alpha_norm = log10 sum s^(2 raw_alpha)`` do not change when fingers are fixed. A ``D_sqrt_n`` above
    ``raw_D_sqrt_n`` says nothing against a tail, since the raw fit was chosen for the least D of all. Whether a tail
    may be believed is the ``verdict``'s question. ``num_spikes, sigma_mp, mp_softrank, bulk_min, bulk_max, bulk_D`` are
    those of :func:`rmt_lab.fit_bulk`, ``sigma_mp_error`` is the standard error of ``sigma_mp``,
    ``num_spikes_first`` counts against noise of the whole matrix's variance, and ``bulk_note`` says where there is
    no noise bulk: then the spikes are no signal in noise.

    Scales: ``xmin, xmax, bulk_min, bulk_max, max_rand_eval`` are eigenvalues of X = W^T W / N (WeightWatcher's are N
    times as large); ``norm`` is the sum of s^2, ``spectral_norm`` is s_max^2, ``sv_max`` and ``sv_min`` are singular
    values of W, ``sigma_mp`` is the noise level of W's entries.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.iter_weights` takes (a torch module, a state dict, a checkpoint file or folder, a hub
        name), a name of :func:`rmt_lab.atlas.names`, or a list, tuple or iterator of
        :class:`Spectrum`. With the folder of a LoRA adapter, each layer is its change s B A, whose spectrum comes from
        the factors. If the rank of the adapter is below ``min_evals``, pass a smaller ``min_evals``.
    fix_fingers : {"clip_xmax", "xmin_peak", "clip_xmax_ww", "outliers"} or None
        See :func:`rmt_lab.fix_fingers`.
    randomize : bool or {"entries", "signs", "scaled"}
        Also analyse each layer randomised: columns ``rand_*`` of the bulk fit (``rand_num_spikes`` are the correlation
        traps), ``max_rand_eval``, and ``rand_distance``, the Jensen-Shannon distance between the two spectra, each
        normalised to sum one (0: the same, sqrt(ln 2) = 0.83: as far as can be). "entries", which True means, shuffles
        the entries; "signs" gives each entry a random sign and keeps its size in its place; "scaled" takes out the
        scales of rows and columns, shuffles, and puts them back. Correlation may be claimed only against the last two:
        the first also destroys scales. See :mod:`rmt_lab.ensembles` and docs/nulls.md.
    verdict : bool or "quick"
        Also judge each power law in a ``verdict`` of one word (:data:`rmt_lab.verdict.RULES`), with its evidence: the
        attributes of :class:`rmt_lab.verdict.Verdict`, made for eigenvalues. ``verdict_q`` is ``p_power_law`` after
        :func:`rmt_lab.verdict.false_discovery_rate` over the layers that the test has an answer for
        (with redraws a p-value is at least 1/201, so that many layers must be refuted before a q is small). Of a layer
        that lost fingers, the tail without them is judged. Half a second per layer of 1536 x 576; "quick", from shipped
        tables, some milliseconds, and no interval. "holds" is said only where there are entries to shuffle.
    layers : iterable of int or str, optional
        Only these layers: ids, names, roles or parts of long names.
    split_qkv : bool
        Split fused query-key-value matrices in three.
    min_evals : int, default 10
        A layer with fewer non-zero eigenvalues is not fitted; its ``status`` says so.
    min_tail : int, default 2
        Fewest eigenvalues a tail may have; passed to :func:`rmt_lab.fit_power_law`.
    max_fingers, finger_thresh
        Passed to :func:`rmt_lab.fix_fingers`.
    n_jobs : int, optional
        How many layers at a time, each with one matrix in memory; -1 for as many as there are cores. Threads of this
        process, or what a ``joblib.parallel_config`` around the call names: processes, a dask cluster, ray. Such
        workers open the checkpoint themselves, by its path; weights in this process's memory stay with its threads.
        The table is the same. Default: 1, or what the ``parallel_config`` says.
    rng : Generator, int or None, default 0
        Randomises the layers and draws the resamples of the verdict. Every layer has a stream of its own, that of its
        ``layer_id``; a Generator or None gives a seed, which ``attrs`` records.
    cache : path, optional
        A folder in which every spectrum is kept as soon as it is computed, under a name made from the bytes of its
        matrix: a run that was stopped goes on where it was, and another analysis of the same weights needs no
        eigenvalues again. Several runs may share it.
    method : {"gram", "svd", "gram32", "top"}
        How the singular values are computed, see :meth:`rmt_lab.Spectrum.from_matrix`. "top" is
        :func:`rmt_lab.tails.large_spectrum`: the power law is that of the exact part, ``num_exact`` eigenvalues, and
        the figures of the bulk are those of an estimated distribution. A layer whose tail may be longer than the exact
        part fails, and ``fix_fingers="xmin_peak"`` is refused. Convolution kernels are computed by "gram".
    device : str, default "cpu"
        Where "gram" and "gram32" run: "cpu", or a GPU as torch names it, such as "cuda".
    base : optional
        The checkpoint that training began with, as ``source`` takes weights. Each layer then is its change W - W0;
        with an adapter as source it is W0 + s B A. Layers are matched by ``longname``; a prefix that all names of one
        side have (``bert.``) is forgiven. A layer that the base lacks or has in another shape fails and says so; layers
        that the base alone has are named in a warning. ``stored_rank`` counts what exceeds the rounding of both
        checkpoints. A base in this process's memory is recorded by its type alone: pass it again to make the table
        again.
    erg : bool, default False
        Also the ERG tail of Martin & Hinrichs (2025): ``num_erg``, the largest eigenvalues whose product falls below
        one when all are scaled to mean one; ``erg_gap = num_pl_spikes - num_erg``, negative where the power law is the
        shorter one (WeightWatcher's ``ERG_gap`` has the other sign); ``erg_gap_share``, its size over the number of
        non-zero eigenvalues; and ``erg_p``, how often Gaussian noise of this shape has as small a gap, from a shipped
        table (NaN below 16 and above 2048 eigenvalues). Where fingers were fixed, ``erg_p`` is that of the raw fit, as
        noise was fitted. See :func:`rmt_lab.tails.erg` and docs/erg.md.

    Returns
    -------
    pandas.DataFrame
        ``attrs`` records source, options and versions; ``analyze(source, **attrs["options"])`` makes the table again.
        A layer that cannot be analysed has ``status`` saying why and
        NaN figures; all others have ``status`` "success". ``warning`` repeats WeightWatcher's reading of alpha
        ("over-trained" below 2, "under-trained" above 6).

    Raises
    ------
    ValueError
        If the source or the base cannot be read, a layer asked for does not exist, an option is not allowed, or
        ``randomize`` or ``base`` is asked of a source without weights.
    TypeError
        If an option is of another type.

    Warns
    -----
    UserWarning
        If the base has layers that the source lacks.

    References
    ----------
    Martin & Mahoney, JMLR 22 (2021); Martin, Peng & Mahoney, Nature Communications 12 (2021).

    Examples
    --------
    >>> details = analyze("minilm", fix_fingers="clip_xmax", layers=["query"])
    >>> details[["name", "alpha", "raw_alpha", "num_fingers"]].round(2).head(2)
                name  alpha  raw_alpha  num_fingers
    0  block 0 query   2.46       2.46            0
    1  block 1 query   2.89       2.89            0
    """
    if rng is None or isinstance(rng, np.random.Generator):
        rng = int(np.random.default_rng(rng).integers(2**63))
    chosen: Any = layers
    if isinstance(layers, Iterable) and not isinstance(layers, str | bytes):
        chosen = list(layers)  # an iterator is read once
    options = Options(
        fix_fingers,
        randomize,
        verdict,
        chosen,
        split_qkv,
        min_evals,
        min_tail,
        max_fingers,
        finger_thresh,
        rng,
        method,
        device,
        base,
        erg,
    )
    return table_of(list(rows_of(source, options, n_jobs, cache)), source, options)


def rows_of(
    source: Any, options: Options, n_jobs: int | None = None, cache: str | os.PathLike[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of :func:`analyze`, each as soon as it is there: in the order in which they are finished.

    The parameters are those of :func:`analyze`, whose errors are raised at the call. What makes rows in other processes
    and cannot give them one by one (ray) gives them all at the end.
    """
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(f"n_jobs={n_jobs!r}; a number of workers is allowed, -1 for one per core, or None")
    kept = None if cache is None else KeptSpectra(cache)
    found = find_layers(source, options.layers, options.split_qkv, options.base)
    for layer in found:
        if isinstance(layer, Layer):
            _check_null(layer, options.randomize)
    row = partial(_row, options=replace(options, base=None), kept=kept)
    # what lies in this process's memory stays there
    shared = isinstance(found[0], Found) and in_memory(source, options.base)
    where = "with cache=DIR, they would be kept" if kept is None else f"their spectra are in {kept.folder}"
    return map_layers(row, found, n_jobs, shared, f"; {where}")


def table_of(rows: Iterable[dict[str, Any]], source: Any, options: Options) -> pd.DataFrame:
    """The table of :func:`analyze` from rows of :func:`rows_of`, all of them or some."""
    asked = [
        *(_ERG if options.erg else []),
        *(_RANDOM if options.randomize else []),
        *(_VERDICT if options.verdict else []),
    ]
    columns = [*_LOOK, *_FIT, *_NORM, *_BULK, *asked, *_END]
    in_order: list[dict[str, Any]] = sorted(rows, key=itemgetter("layer_id"))
    details = pd.DataFrame(in_order, columns=columns)
    if options.verdict:
        details["verdict_q"] = false_discovery_rate(details["p_power_law"].to_numpy(dtype=float))
    details["block"] = details["block"].astype("Int64")
    for column in (
        "N",
        "M",
        "rf",
        "num_evals",
        "num_exact",
        "num_fingers",
        "num_pl_spikes",
        "num_spikes",
        "num_spikes_first",
        "matrix_rank",
        "stored_rank",
        "rank_loss",
        *(("num_erg", "erg_gap") if options.erg else ()),
    ):
        details[column] = details[column].astype("Int64")
    details.attrs = {
        "source": str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__,
        "options": options.record(),
        "versions": {"rmt_lab": __version__, "numpy": np.__version__, "pandas": pd.__version__},
    }
    return details


def layers_of(
    source: Any,
    layers: Iterable[int | str] | int | str | None = None,
    split_qkv: bool = False,
    rng: int = 0,
    cache: str | os.PathLike[str] | None = None,
    method: Solver = "gram",
    device: str = "cpu",
    base: Any = None,
) -> Iterator[Layer]:
    """The layers of anything :func:`analyze` takes, none of them read or computed yet.

    ``rng`` is the seed from which each layer is randomised, where the source holds weights: each null begins the
    layer's own stream anew, so that it is the same whichever others were made before.
    """
    kept = None if cache is None else KeptSpectra(cache)
    for found in find_layers(source, layers, split_qkv, base):
        yield _layer(found, rng, kept, method, device)


def find_layers(source: Any, layers: Any, split_qkv: bool, base: Any = None) -> Sequence[Layer | Found]:
    """The layers of a source: those of spectra as they are, those of weights unread."""
    if base is not None:
        pairs: Sequence[Found] = find_pairs(source, base, split_qkv, all_told=layers is None)
        return select_layers(pairs, layers)
    held = _spectra_of(source)
    if held is not None:
        return select_layers(held, layers)
    if is_adapter(source):
        return select_layers(find_products(source), layers)
    try:
        return find_weights(source, split_qkv, layers)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; the atlas has {', '.join(atlas.names())}") from None


def find_pairs(
    source: Any, base: Any, split_qkv: bool = False, all_told: bool = True
) -> list[FoundChange] | list[FoundMerged]:
    """The layers of a checkpoint with those of its base, unread: W - W0, or W0 + s B A where source is an adapter.

    ``all_told``: whether a warning names the layers that the base alone has.
    """
    for what, side in (("source", source), ("base", base)):
        if _spectra_of(side) is not None:
            raise ValueError(f"base needs weights on both sides; {what} holds spectra alone")
    if is_adapter(base):
        raise ValueError(f"base={str(base)!r} is the folder of an adapter; pass it as source, and its model as base")
    try:
        of_base = find_weights(base, split_qkv)
    except (ValueError, TypeError, OSError) as error:
        raise type(error)(f"base: {error}") from error
    if is_adapter(source):
        return find_merged(source, of_base)
    changes, alone = find_changes(find_weights(source, split_qkv), of_base)
    if alone and all_told:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        warnings.warn(f"base has layers that source lacks: {', '.join(alone[:5])}{more}", stacklevel=2)
    return changes


def in_memory(*sources: Any) -> bool:
    """Whether one of these sources lies in this process's memory, where its threads alone can read it."""
    return not all(x is None or isinstance(x, str | os.PathLike) for x in sources)


def _spectra_of(source: Any) -> list[Layer] | None:
    """The layers of a source that holds spectra; None where it holds weights."""
    if isinstance(source, str) and not os.path.exists(source) and source in atlas.names():
        source = atlas.load(source)
    if isinstance(source, atlas.AtlasModel):
        return list(source.layers)
    if isinstance(source, Spectrum) or _is_iterable_of_spectra(source):
        return _spectra([source] if isinstance(source, Spectrum) else source)
    return None


def _layer(
    found: Layer | Found, seed: int, kept: KeptSpectra | None, method: Solver = "gram", device: str = "cpu"
) -> Layer:
    if isinstance(found, Layer):
        return found
    weights = _Weights(found, seed, kept, method, device)
    return Layer(*found[:4], weights.spectrum, {kind: partial(weights.spectrum, kind) for kind in NULLS})


@dataclass
class _Weights:
    """The stored matrices of a layer, read once when first asked for, and the spectra of what they make."""

    found: Found
    seed: int
    kept: KeptSpectra | None
    method: Solver
    device: str
    _parts: tuple[Matrix, ...] | None = None
    _digest: str = ""

    # no cached_property: before Python 3.12 it has one lock for all instances, and threads would wait for each other
    @property
    def parts(self) -> tuple[Matrix, ...]:
        if self._parts is None:
            self._parts = (self.found.read(),) if isinstance(self.found, FoundMatrix) else self.found.parts()
        return self._parts

    @property
    def digest(self) -> str:
        self._digest = self._digest or " ".join(map(digest, self.parts))
        return self._digest

    def spectrum(self, null: Null | None = None) -> Spectrum:
        if self.kept is None:
            return self._compute(null)
        how: dict[str, Any] = {"method": self.method, "device": self.device, "null": null}
        how["stream"] = [self.seed, self.found.layer_id] if null else None
        how |= self.found.how
        return replace(self.kept.get(self.digest, how, partial(self._compute, null)), name=self.found.name)

    def _compute(self, null: Null | None) -> Spectrum:
        found = self.found
        if null:
            W = self.parts[0] if isinstance(found, FoundMatrix) else found.combine(*self.parts)
            return self._solve(null_matrix(W, null, layer_stream(self.seed, found.layer_id)))
        if isinstance(found, FoundMatrix):
            spectrum, rounding = self._solve(self.parts[0]), found.rounding(self.parts[0])
            return spectrum if rounding is None else replace(spectrum, rounding=rounding)
        parts: Any = self.parts  # as many as this kind of layer has
        return found.spectrum(*parts, solve=self._solve)

    def _solve(self, W: Matrix) -> Spectrum:
        if self.method != "top":
            return Spectrum.from_matrix(W, self.method, self.found.name, device=self.device)
        if W.ndim > 2 or min(W.shape) < 2:  # the slices of a kernel are small
            return Spectrum.from_matrix(W, name=self.found.name)
        return large_spectrum(W, self.found.name)


def _check_null(layer: Layer, kind: bool | Null) -> None:
    """Refuse a layer without the null that was asked for, before it is computed."""
    if kind and not layer.nulls:
        raise ValueError("randomize needs weights to shuffle; source holds spectra alone")
    if kind and kind not in layer.nulls:
        raise ValueError(
            f"randomize={kind!r}; source holds {', '.join(map(repr, layer.nulls))} and no weights to make another "
            "null of. A file of your atlas that is that old is made again by: rmt-lab atlas add SOURCE"
        )


def _spectra(spectra: Iterable[Spectrum]) -> list[Layer]:
    found = []
    for i, s in enumerate(spectra):
        if not isinstance(s, Spectrum):
            raise TypeError(f"source holds {type(s).__name__}; an iterable of Spectrum holds nothing else")
        name = s.name or f"spectrum {i}"
        found.append(Layer(i, name, name, "spectrum", s if s.name else replace(s, name=name)))
    return found


def _is_iterable_of_spectra(source: Any) -> bool:
    if isinstance(source, (list, tuple)):
        return bool(source) and all(isinstance(x, Spectrum) for x in source)
    return isinstance(source, Iterator)


def map_layers(
    row: Callable[[Any], dict[str, Any]],
    layers: Sequence[Layer | Found],
    n_jobs: int | None,
    shared: bool,
    where: str = "",
    desc: str = "analyze",
) -> Iterator[dict[str, Any]]:
    """The rows of all layers, by threads or by whatever ``joblib.parallel_config`` names.

    An error of the workers (one has died) comes through with a note: how far the run came, and where that is kept.
    """
    if n_jobs in (None, 1) and "joblib" not in sys.modules:  # then there is no parallel_config; 10 MB and 0.1 s
        # one limit for all layers: setting it anew for each takes a tenth of a millisecond
        with one_blas_thread(), progress(layers, desc=desc, unit="layers") as bar:
            yield from map(row, bar)
        return
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    hints = {"prefer": "threads", "require": "sharedmem" if shared else None}  # the solver releases the lock
    backend, configured = get_active_backend(**hints)
    if n_jobs is None and configured is None and type(backend).__module__.startswith("ray."):
        n_jobs = -1  # all of the cluster, as dask takes it: joblib alone would stay with one worker, in this process
    n_jobs = None if n_jobs is None else min(int(n_jobs), len(layers))
    one_by_one = backend.supports_return_generator or n_jobs == 1
    workers = Parallel(n_jobs, **hints, batch_size=1, return_as="generator_unordered" if one_by_one else "list")
    if workers.n_jobs != 1:  # the largest first, so that no worker is left alone with it at the end
        layers = sorted(layers, key=_work, reverse=True)
    # threads share the limit of the process, and whoever starts them owns it; other processes look after theirs
    in_process = workers.n_jobs == 1 or getattr(backend, "supports_sharedmem", False)
    limit = one_blas_thread() if in_process else nullcontext()
    bar = progress(desc=desc, unit="layers", total=len(layers))
    with limit, _deaths_told(backend), bar:
        try:
            for done in workers(delayed(row)(layer) for layer in layers):
                bar.update()
                yield done
        except Exception as error:
            many = str(bar.n) if one_by_one else "some"
            error.add_note(f"{desc}: {many} of {len(layers)} layers were done{where}")
            raise


@contextmanager
def _deaths_told(backend: Any) -> Iterator[None]:
    """Let an error of dask itself end the run: joblib 1.4 to 1.6 drops it and waits for ever.

    Dask gives a layer up when the workers that tried it have died, four of them by default.
    """
    if type(backend).__module__ != "joblib._dask":
        yield
        return
    name = "submit" if hasattr(type(backend), "submit") else "apply_async"
    own = getattr(backend, name)

    def submit(work: Any, callback: Callable[[Any], None]) -> Any:
        future = own(work, callback)

        def failed(done: Any) -> None:
            if error := done.exception():
                callback(error)

        future.add_done_callback(failed)
        return future

    setattr(backend, name, submit)
    try:
        yield
    finally:
        delattr(backend, name)


def _work(layer: Layer | Found) -> float:
    """How long a layer takes, roughly: the multiplications of its Gram matrix and of its eigenvalues."""
    if isinstance(layer, Layer):
        return 0.0
    N, M = max(layer.shape[:2]), min(layer.shape[:2])
    return float(M) ** 2 * (N + 2 * M) * math.prod(layer.shape[2:])


def _row(found: Layer | Found, options: Options, kept: KeptSpectra | None) -> dict[str, Any]:
    """The table's row of one layer; whatever is wrong with the layer ends up in its status."""
    # its matrix is read in here, and gone when the row is there
    layer = _layer(found, options.rng, kept, options.method, options.device)
    row: dict[str, Any] = {name: getattr(layer, name) for name in _LOOK[:6]}
    row |= {"status": "success", "warning": ""}
    try:
        s = layer.spectrum
        row |= {"N": s.N, "M": s.M, "Q": s.Q, "rf": s.rf}
        row |= {"num_evals": len(s.singular_values), "num_exact": s.num_exact or len(s.singular_values)}
        if s.rank < options.min_evals:
            raise ValueError(f"{s.rank} non-zero eigenvalues, fewer than min_evals={options.min_evals}")
        if not SMALLEST < s.operator_norm < LARGEST:
            raise ValueError(
                f"the largest singular value is {s.operator_norm:.3g}; between {SMALLEST:g} and {LARGEST:g} squares "
                "are exact, so multiply the matrix by a constant"
            )
        tail = options.fit(s)
        if s.num_exact is not None:
            _check_exact(s, options)
        figures = _fit_figures(tail) | _bulk_figures(fit_bulk(s))
        figures |= _norm_figures(s, figures["raw_alpha"])
        figures["alpha_weighted"] = figures["raw_alpha"] * figures["log_spectral_norm"]
        if options.erg:
            figures |= _erg_figures(s, tail)
        if options.randomize:
            null = layer.null(options.randomize)  # type: ignore[arg-type]  # True became a name
            figures |= {f"rand_{k}": v for k, v in _bulk_figures(fit_bulk(null)).items()}
            figures |= {"max_rand_eval": null.eigenvalues[-1], "rand_distance": spectral_distance(s, null)}
        if options.verdict:
            shuffled = partial(layer.null, NULLS[0]) if NULLS[0] in layer.nulls else None
            rng = layer_stream(options.rng, layer.layer_id)
            figures |= asdict(judge(tail.fit, s, shuffled, rng=rng, quick=options.verdict == "quick"))
        trained = "over-trained" if figures["alpha"] < 2 else "under-trained" if figures["alpha"] > 6 else ""
        row["warning"] = "; ".join(filter(None, [trained, getattr(found, "note", "")]))
        return row | figures
    except LAYER_FAULTS as error:  # the boundary: one broken layer never stops the others; a bug does
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return row | {"status": f"failed: {what}"}


def _check_exact(s: Spectrum, options: Options) -> None:
    """Refuse a spectrum of ``method="top"`` whose tail may begin among the estimated eigenvalues.

    Raises
    ------
    ValueError
        If the fit to all of them, estimated ones included, takes more than the exact ones.
    """
    exact = len(s.tail_eigenvalues)
    tail = options.fit(replace(s, num_exact=None)).fit.n_tail
    if exact < s.rank and tail > EXACT_SHARE * exact:
        raise ValueError(
            f"the power law takes about {tail} eigenvalues, of which method='top' made {exact} exact; "
            "method='gram' makes all"
        )


def _fit_figures(f: FingerFit) -> dict[str, Any]:
    fit, raw = f.fit, f.raw
    return {
        "alpha": fit.alpha,
        "D": fit.D,
        "sigma": fit.sigma,
        "xmin": fit.xmin,
        "xmax": fit.xmax,
        "num_pl_spikes": int(np.count_nonzero(raw.x >= fit.xmin)),  # fingers included, as WeightWatcher counts
        "num_fingers": f.num_fingers if f.rule else None,
        "raw_alpha": raw.alpha,
        "D_sqrt_n": fit.scaled_D,
        "raw_D_sqrt_n": raw.scaled_D,
    }


def _erg_figures(s: Spectrum, f: FingerFit) -> dict[str, Any]:
    e = erg_tail(s, f.fit)
    raw_gap = int(np.count_nonzero(f.raw.x >= f.raw.xmin)) - e.num_erg  # the p-value's noise had no fingers fixed
    return {"num_erg": e.num_erg, "erg_gap": e.gap, "erg_gap_share": e.gap_share, "erg_p": erg_p(raw_gap, s)}


def _norm_figures(s: Spectrum, alpha: float) -> dict[str, Any]:
    logs = np.log(s.nonzero_eigenvalues * s.N)
    log_alpha_norm = (alpha * logs[-1] + np.log(np.exp(alpha * (logs - logs[-1])).sum())) / np.log(10)
    return {
        "norm": s.norm,
        "log_norm": np.log10(s.norm),
        "spectral_norm": s.spectral_norm,
        "log_spectral_norm": np.log10(s.spectral_norm),
        "log_alpha_norm": log_alpha_norm,
        "stable_rank": s.stable_rank,
        "matrix_rank": s.rank,
        "stored_rank": s.stored_rank,
        "rank_loss": len(s.singular_values) - s.rank,
        "entropy": s.entropy,
        "sv_max": s.singular_values[-1],
        "sv_min": s.singular_values[0],
    }


def _bulk_figures(bulk: BulkFit) -> dict[str, Any]:
    return {column: getattr(bulk, attribute) for column, attribute in _BULK.items()}


def spectral_distance(a: Spectrum, b: Spectrum) -> float:
    """Jensen-Shannon distance between two spectra, rank by rank and each summing to one, as in WeightWatcher."""
    p, q = (s.eigenvalues / s.eigenvalues.sum() for s in (a, b))
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.sqrt(max(divergence, 0)))  # of equal spectra it may be rounded below 0
