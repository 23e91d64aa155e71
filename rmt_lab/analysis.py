"""Every layer of a model -> one table."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import __version__, atlas, fingers
from .bulk import fit_bulk
from .metrics import (
    BULK_COLUMNS,
    FIT_COLUMNS,
    NORM_COLUMNS,
    VERDICT_COLUMNS,
    bulk_metrics,
    fit_metrics,
    fit_tail,
    norm_metrics,
    spectral_distance,
    verdict_metrics,
)
from .roles import block_and_role
from .spectrum import Spectrum
from .weights import iter_weights, select_layers

_LOOK = ["layer_id", "name", "longname", "layer_type", "block", "role", "N", "M", "Q", "rf", "num_evals"]
_RANDOM = [*(f"rand_{c}" for c in BULK_COLUMNS), "max_rand_eval", "rand_distance"]
_END = ["status", "warning"]


class Layer(NamedTuple):
    """A layer whose spectra are computed when asked for, so that one matrix is held at a time."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    spectrum: Callable[[], Spectrum]
    shuffled: Callable[[np.random.Generator], Spectrum]


def analyze(
    source: Any,
    fix_fingers: str | None = None,
    randomize: bool = False,
    verdict: bool = False,
    layers: Iterable[int | str] | None = None,
    split_qkv: bool = False,
    min_evals: int = 10,
    max_fingers: int = 10,
    finger_thresh: float = 1.0,
    n_jobs: int = 1,
    rng: np.random.Generator | int | None = 0,
) -> pd.DataFrame:
    """One row a layer: the power law of its tail, its norms, and its bulk against Marchenko-Pastur noise.

    Columns that WeightWatcher also has bear its names. ``alpha, D, sigma, xmin, xmax, num_pl_spikes`` describe the
    accepted fit, ``raw_alpha`` the one before fingers were fixed; ``alpha_weighted = raw_alpha * log10(spectral_norm)``
    and ``log_alpha_norm = log10 sum s^(2 raw_alpha)`` do not change when fingers are fixed. ``clipping`` says of a
    layer that lost fingers whether that made the power law a "better fit" or alpha "only smaller", by ``D_sqrt_n``
    against ``raw_D_sqrt_n``. ``num_spikes, sigma_mp, mp_softrank, bulk_min, bulk_max, bulk_D`` are those of
    :func:`rmt_lab.fit_bulk`.

    Scales: ``xmin, xmax, bulk_min, bulk_max, max_rand_eval`` are eigenvalues of X = W^T W / N (WeightWatcher's are N
    times as large); ``norm`` is the sum of s^2, ``spectral_norm`` is s_max^2, ``sv_max`` and ``sv_min`` are singular
    values of W, ``sigma_mp`` is the noise level of W's entries.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.iter_weights` takes (a torch module, a state dict, a checkpoint file or folder, a hub
        name), a name of :func:`rmt_lab.atlas.names`, or an iterable of :class:`Spectrum`.
    fix_fingers : {None, "clip_xmax", "xmin_peak", "clip_xmax_ww"}
        See :func:`rmt_lab.fix_fingers`. The last also cuts eigenvalues of W^T W at 1e-5, as WeightWatcher does.
    randomize : bool
        Also analyse each layer with its entries shuffled: columns ``rand_*`` of the bulk fit (``rand_num_spikes`` are
        the correlation traps), ``max_rand_eval``, and ``rand_distance``, the Jensen-Shannon distance between the two
        spectra, each normalised to sum one (0: the same, sqrt(ln 2) = 0.83: as far as can be).
    verdict : bool
        Also judge each power law in a ``verdict`` of one word (:data:`rmt_lab.verdict.RULES`), with its evidence: the
        bootstrap interval ``alpha_low .. alpha_high``, the goodness of fit ``p_value``, the ``best_rival`` law, and
        ``noise_p``, how often noise of this shape passes for a tail as heavy. A second a layer; needs ``powerlaw``.
    layers : iterable of int or str, optional
        Only these layers: ids, names, roles or parts of long names.
    split_qkv : bool
        Split fused query-key-value matrices in three.
    min_evals : int, default 10
        A layer with fewer non-zero eigenvalues is not fitted; its ``status`` says so.
    max_fingers, finger_thresh
        Passed to :func:`rmt_lab.fix_fingers`.
    n_jobs : int, default 1
        Threads, each with one matrix in memory. One matrix at a time by default.
    rng : Generator, int or None, default 0
        Shuffles the entries.

    Returns
    -------
    pandas.DataFrame
        ``attrs`` records source, options and versions. A layer that cannot be analysed has ``status`` saying why and
        NaN figures; all others have ``status`` "success". ``warning`` repeats WeightWatcher's reading of alpha
        ("over-trained" below 2, "under-trained" above 6).

    Raises
    ------
    ValueError
        If the source cannot be read, a layer asked for does not exist, or an option is not known.

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
    if fix_fingers is not None and fix_fingers not in fingers.RULES:
        allowed = ", ".join(map(repr, fingers.RULES))
        raise ValueError(f"fix_fingers={fix_fingers!r}; allowed are None, {allowed}")
    if min_evals < 2:
        raise ValueError(f"min_evals={min_evals}; a power law needs at least 2 eigenvalues")
    if verdict and importlib.util.find_spec("powerlaw") is None:  # say it now rather than once a layer
        raise ImportError('verdict=True needs the package powerlaw: pip install "rmt-lab[rivals]"')
    options: dict[str, Any] = {
        "fix_fingers": fix_fingers,
        "randomize": randomize,
        "verdict": verdict,
        "split_qkv": split_qkv,
        "min_evals": min_evals,
        "max_fingers": max_fingers,
        "finger_thresh": finger_thresh,
    }

    def row(layer: Layer, rng: np.random.Generator) -> dict[str, Any]:
        return _row(layer, rng, **{k: v for k, v in options.items() if k != "split_qkv"})

    rows = _map(row, layers_of(source, layers, split_qkv, randomize), n_jobs, np.random.default_rng(rng))
    asked = [*(_RANDOM if randomize else []), *(VERDICT_COLUMNS if verdict else [])]
    columns = [*_LOOK, *FIT_COLUMNS, *NORM_COLUMNS, *BULK_COLUMNS, *asked, *_END]
    details = pd.DataFrame(rows, columns=columns)
    details["block"] = details["block"].astype("Int64")
    for column in (
        "N",
        "M",
        "rf",
        "num_evals",
        "num_fingers",
        "num_pl_spikes",
        "num_spikes",
        "matrix_rank",
        "rank_loss",
    ):
        details[column] = details[column].astype("Int64")
    details.attrs = {
        "source": str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__,
        "options": options,
        "versions": {"rmt_lab": __version__, "numpy": np.__version__, "pandas": pd.__version__},
    }
    return details


def layers_of(
    source: Any, layers: Iterable[int | str] | None = None, split_qkv: bool = False, randomize: bool = False
) -> Iterator[Layer]:
    """The layers of anything :func:`analyze` takes, none of them computed yet."""
    if isinstance(source, str) and not os.path.exists(source) and source in atlas.names():
        source = atlas.load(source)
    if isinstance(source, atlas.AtlasModel):
        for x in select_layers(source.layers, layers):
            yield Layer(
                x.layer_id, x.name, x.longname, x.layer_type, partial(_given, x.spectrum), partial(_given, x.shuffled)
            )
    elif isinstance(source, Spectrum) or _is_iterable_of_spectra(source):
        if randomize:
            raise ValueError("randomize=True needs weights to shuffle; source holds spectra alone")
        yield from select_layers(_spectra([source] if isinstance(source, Spectrum) else source), layers)
    else:
        try:
            weights = iter_weights(source, split_qkv=split_qkv, layers=layers)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; the atlas has {', '.join(atlas.names())}") from None
        for w in weights:
            yield Layer(*w[:4], partial(Spectrum.from_matrix, w.matrix), partial(_shuffled, w.matrix))
            del w  # before the next matrix is read


def _given(spectrum: Spectrum, rng: np.random.Generator | None = None) -> Spectrum:
    return spectrum


def _shuffled(W: Any, rng: np.random.Generator) -> Spectrum:
    return Spectrum.from_matrix(atlas.shuffled_entries(W, rng))


def _spectra(spectra: Iterable[Spectrum]) -> list[Layer]:
    found = []
    for i, s in enumerate(spectra):
        if not isinstance(s, Spectrum):
            raise TypeError(f"source holds {type(s).__name__}; an iterable of Spectrum holds nothing else")
        name = s.name or f"spectrum {i}"
        found.append(Layer(i, name, name, "spectrum", partial(_given, s), partial(_given, s)))
    return found


def _is_iterable_of_spectra(source: Any) -> bool:
    if isinstance(source, (list, tuple)):
        return all(isinstance(x, Spectrum) for x in source)
    return isinstance(source, Iterator)


def _map(
    row: Callable[[Layer, np.random.Generator], dict[str, Any]],
    layers: Iterator[Layer],
    n_jobs: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """The rows of all layers; every layer has a random stream of its own, so that threads change nothing."""
    with tqdm(desc="analyze", unit=" layers", delay=10) as bar:  # no bar for what is over before one asks

        def step(layer: Layer, rng: np.random.Generator) -> dict[str, Any]:
            done = row(layer, rng)
            bar.update()
            return done

        if n_jobs != 1:
            from joblib import Parallel, delayed

            # the solver releases the interpreter's lock, so threads do; pre_dispatch: no matrix is read before its turn
            tasks = (delayed(step)(layer, rng.spawn(1)[0]) for layer in layers)
            return list(Parallel(n_jobs, prefer="threads", pre_dispatch="n_jobs")(tasks))
        rows = []
        for layer in layers:
            rows.append(step(layer, rng.spawn(1)[0]))
            del layer  # and with it the matrix, before the next one is read
        return rows


def _row(
    layer: Layer,
    rng: np.random.Generator,
    fix_fingers: str | None,
    randomize: bool,
    verdict: bool,
    min_evals: int,
    max_fingers: int,
    finger_thresh: float,
) -> dict[str, Any]:
    """The table's row of one layer; whatever is wrong with the layer ends up in its status."""
    row: dict[str, Any] = dict(zip(_LOOK[:4], layer[:4], strict=True))
    row["block"], row["role"] = block_and_role(layer.longname)
    row |= {"status": "success", "warning": ""}
    try:
        s = layer.spectrum()
        row |= {"N": s.N, "M": s.M, "Q": s.Q, "rf": s.rf, "num_evals": len(s.singular_values)}
        if s.rank < min_evals:
            raise ValueError(f"{s.rank} non-zero eigenvalues, fewer than min_evals={min_evals}")
        tail = fit_tail(s, fix_fingers, max_fingers, finger_thresh)
        figures = fit_metrics(tail) | bulk_metrics(fit_bulk(s))
        figures |= norm_metrics(s, figures["raw_alpha"])
        figures["alpha_weighted"] = figures["raw_alpha"] * figures["log_spectral_norm"]
        if randomize:
            null = layer.shuffled(rng)
            figures |= {f"rand_{k}": v for k, v in bulk_metrics(fit_bulk(null)).items()}
            figures |= {"max_rand_eval": null.eigenvalues[-1], "rand_distance": spectral_distance(s, null)}
        if verdict:
            figures |= verdict_metrics(tail, s, rng)
        row["warning"] = "over-trained" if figures["alpha"] < 2 else "under-trained" if figures["alpha"] > 6 else ""
        return row | figures
    except Exception as error:  # the boundary: one broken layer never stops the others
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return row | {"status": f"failed: {what}"}
