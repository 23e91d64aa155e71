"""Every layer of a model -> one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import rel_entr
from tqdm.auto import tqdm

from . import __version__, atlas
from ._arrays import one_blas_thread
from .atlas import Layer
from .bulk import BulkFit, fit_bulk
from .ensembles.matrices import NULLS, Null, null_matrix
from .spectrum import Spectrum
from .tails import fingers
from .tails.fingers import FingerFit, Rule, check_finger_options
from .verdict import Verdict, false_discovery_rate
from .verdict import verdict as judge
from .weights.read import iter_weights, select_layers

_LOOK = ["layer_id", "name", "longname", "layer_type", "block", "role", "N", "M", "Q", "rf", "num_evals"]
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
_RANDOM = [*(f"rand_{c}" for c in _BULK), "max_rand_eval", "rand_distance"]
_END = ["status", "warning"]
#: What is wrong with a layer, not with the code: such errors end up in the layer's row.
LAYER_FAULTS = (ValueError, np.linalg.LinAlgError, MemoryError, OSError)


@dataclass(frozen=True)
class Options:
    """The settings of :func:`analyze`, which explains them; ``analyze(source, **asdict(options))`` makes a table again.

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

    def __post_init__(self) -> None:
        check_finger_options(self.fix_fingers, self.max_fingers, self.finger_thresh, name="fix_fingers")
        is_bool = isinstance(self.randomize, bool | np.bool_)
        if not (is_bool or (isinstance(self.randomize, str) and self.randomize in NULLS)):
            raise ValueError(f"randomize={self.randomize!r}; allowed are False, True, {', '.join(map(repr, NULLS))}")
        if not (
            isinstance(self.verdict, bool | np.bool_) or (isinstance(self.verdict, str) and self.verdict == "quick")
        ):
            raise ValueError(f"verdict={self.verdict!r}; allowed are True, False and 'quick'")
        if not isinstance(self.split_qkv, bool | np.bool_):
            raise TypeError(f"split_qkv={self.split_qkv!r}; allowed are True and False")
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
        plain: dict[str, Any] = {"split_qkv": bool(self.split_qkv)}
        plain["verdict"] = "quick" if isinstance(self.verdict, str) else bool(self.verdict)
        plain["randomize"] = (NULLS[0] if self.randomize else False) if is_bool else str(self.randomize)
        plain |= {name: int(getattr(self, name)) for name in ("min_evals", "min_tail", "max_fingers", "rng")}
        plain["finger_thresh"] = float(self.finger_thresh)
        if self.layers is not None:
            given = self.layers if isinstance(self.layers, list | tuple) else [self.layers]
            if any(isinstance(x, bool) or not isinstance(x, Integral | str) for x in given):
                raise TypeError(f"layers={self.layers!r}; layer ids (int) and names or roles (str) are allowed")
            plain["layers"] = [str(x) if isinstance(x, str) else int(x) for x in given]
        plain["fix_fingers"] = None if self.fix_fingers is None else str(self.fix_fingers)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

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
    n_jobs: int = 1,
    rng: np.random.Generator | int | None = 0,
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
        :class:`Spectrum`.
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
    n_jobs : int, default 1
        Threads, each with one matrix in memory. One matrix at a time by default.
    rng : Generator, int or None, default 0
        Randomises the layers and draws the resamples of the verdict. Every layer has a stream of its own, that of its
        ``layer_id``; a Generator or None gives a seed, which ``attrs`` records.

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
        If the source cannot be read, a layer asked for does not exist, an option is not allowed, or ``randomize`` is
        asked of a source without weights.
    TypeError
        If an option is of another type.
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
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise ValueError(f"n_jobs={n_jobs!r}; a number of threads is allowed, or -1 for one per core")
    options = Options(
        fix_fingers, randomize, verdict, chosen, split_qkv, min_evals, min_tail, max_fingers, finger_thresh, rng
    )
    found = layers_of(source, options.layers, options.split_qkv, options.rng)
    rows = _map(partial(_row, options=options), _with_null(found, options.randomize, randomize), n_jobs)
    asked = [*(_RANDOM if options.randomize else []), *(_VERDICT if options.verdict else [])]
    columns = [*_LOOK, *_FIT, *_NORM, *_BULK, *asked, *_END]
    details = pd.DataFrame(rows, columns=columns)
    if options.verdict:
        details["verdict_q"] = false_discovery_rate(details["p_power_law"].to_numpy(dtype=float))
    details["block"] = details["block"].astype("Int64")
    for column in (
        "N",
        "M",
        "rf",
        "num_evals",
        "num_fingers",
        "num_pl_spikes",
        "num_spikes",
        "num_spikes_first",
        "matrix_rank",
        "stored_rank",
        "rank_loss",
    ):
        details[column] = details[column].astype("Int64")
    details.attrs = {
        "source": str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__,
        "options": asdict(options),
        "versions": {"rmt_lab": __version__, "numpy": np.__version__, "pandas": pd.__version__},
    }
    return details


def layers_of(
    source: Any, layers: Iterable[int | str] | int | str | None = None, split_qkv: bool = False, rng: int = 0
) -> Iterator[Layer]:
    """The layers of anything :func:`analyze` takes, none of them computed yet.

    ``rng`` is the seed from which each layer is randomised, where the source holds weights: each null begins the
    layer's own stream anew, so that it is the same whichever others were made before.
    """
    if isinstance(source, str) and not os.path.exists(source) and source in atlas.names():
        source = atlas.load(source)
    if isinstance(source, atlas.AtlasModel):
        yield from select_layers(source.layers, layers)
    elif isinstance(source, Spectrum) or _is_iterable_of_spectra(source):
        yield from select_layers(_spectra([source] if isinstance(source, Spectrum) else source), layers)
    else:
        try:
            weights = iter_weights(source, split_qkv=split_qkv, layers=layers)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; the atlas has {', '.join(atlas.names())}") from None
        for w in weights:
            nulls = {kind: partial(_null, w.matrix, kind, rng, w.layer_id) for kind in NULLS}
            yield Layer(*w[:4], partial(Spectrum.from_matrix, w.matrix, name=w.name), nulls)
            del w, nulls  # before the next matrix is read


def _stream(seed: int, layer_id: int) -> np.random.Generator:
    """The random numbers of one layer, whichever other layers are asked for."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(layer_id,)))


def _null(W: Any, kind: Null, seed: int, layer_id: int) -> Spectrum:
    return Spectrum.from_matrix(null_matrix(W, kind, _stream(seed, layer_id)))


def _with_null(layers: Iterator[Layer], kind: bool | Null, asked: bool | Null) -> Iterator[Layer]:
    """The same layers; one without the null that was asked for is refused before it is computed."""
    for layer in layers:
        if kind and not layer.nulls:
            raise ValueError(f"randomize={asked!r} needs weights to shuffle; source holds spectra alone")
        if kind and kind not in layer.nulls:
            raise ValueError(
                f"randomize={asked!r}; source holds {', '.join(map(repr, layer.nulls))} and no weights to make another "
                "null of. A file of your atlas that is that old is made again by: rmt-lab atlas add SOURCE"
            )
        yield layer
        del layer  # before the next one is read


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


def _map(row: Callable[[Layer], dict[str, Any]], layers: Iterator[Layer], n_jobs: int) -> list[dict[str, Any]]:
    """The rows of all layers."""
    with tqdm(desc="analyze", unit=" layers", delay=10) as bar:  # no bar for what is over before one asks

        def step(layer: Layer) -> dict[str, Any]:
            done = row(layer)
            bar.update()
            return done

        if n_jobs != 1:
            from joblib import Parallel, delayed

            # the solver releases the interpreter's lock, so threads do; pre_dispatch: no matrix is read before its turn
            tasks = (delayed(step)(layer) for layer in layers)
            with one_blas_thread():
                return list(Parallel(n_jobs, prefer="threads", pre_dispatch="n_jobs")(tasks))
        rows = []
        for layer in layers:
            rows.append(step(layer))
            del layer  # and with it the matrix, before the next one is read
        return rows


def _row(layer: Layer, options: Options) -> dict[str, Any]:
    """The table's row of one layer; whatever is wrong with the layer ends up in its status."""
    row: dict[str, Any] = {name: getattr(layer, name) for name in _LOOK[:6]}
    row |= {"status": "success", "warning": ""}
    try:
        s = layer.spectrum
        row |= {"N": s.N, "M": s.M, "Q": s.Q, "rf": s.rf, "num_evals": len(s.singular_values)}
        if s.rank < options.min_evals:
            raise ValueError(f"{s.rank} non-zero eigenvalues, fewer than min_evals={options.min_evals}")
        tail = options.fit(s)
        figures = _fit_figures(tail) | _bulk_figures(fit_bulk(s))
        figures |= _norm_figures(s, figures["raw_alpha"])
        figures["alpha_weighted"] = figures["raw_alpha"] * figures["log_spectral_norm"]
        if options.randomize:
            null = layer.null(options.randomize)  # type: ignore[arg-type]  # True became a name
            figures |= {f"rand_{k}": v for k, v in _bulk_figures(fit_bulk(null)).items()}
            figures |= {"max_rand_eval": null.eigenvalues[-1], "rand_distance": spectral_distance(s, null)}
        if options.verdict:
            shuffled = partial(layer.null, NULLS[0]) if NULLS[0] in layer.nulls else None
            rng = _stream(options.rng, layer.layer_id)
            figures |= asdict(judge(tail.fit, s, shuffled, rng=rng, quick=options.verdict == "quick"))
        row["warning"] = "over-trained" if figures["alpha"] < 2 else "under-trained" if figures["alpha"] > 6 else ""
        return row | figures
    except LAYER_FAULTS as error:  # the boundary: one broken layer never stops the others; a bug does
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return row | {"status": f"failed: {what}"}


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
    return float(np.sqrt((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2))
