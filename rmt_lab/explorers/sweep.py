"""One parameter of a model from end to end: the values at which its slider stops, and picture and words at each."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from traitlets import Int

from .base import Model
from .png import png


class Frame(NamedTuple):
    """What an explorer shows in one state: all parameters, the picture as a PNG, and the sentence."""

    parameters: dict[str, Any]
    picture: bytes
    sentence: str


def steps(model: Model, name: str) -> list[Any]:
    """The values at which the slider of a parameter stops, in their order; every entry of a list.

    Parameters
    ----------
    model : Model
        Its present state matters where the range depends on the other parameters.
    name : str
        One of ``model.controls()``.

    Raises
    ------
    ValueError
        If there is no such control.

    Examples
    --------
    >>> from rmt_lab.explorers import LayerExplorer, SpikeExplorer
    >>> steps(SpikeExplorer().model, "strength")[:4]
    [0.0, 0.05, 0.1, 0.15]
    >>> steps(LayerExplorer().model, "block")
    [0, 1, 2, 3, 4, 5]
    """
    controls = model.controls()
    if name not in controls:
        raise ValueError(f"name={name!r}; {type(model).__name__} has the controls {', '.join(controls)}")
    control = controls[name]
    if control["control"] == "choice":
        return list(model.options(name))
    if control["control"] == "switch":
        return [False, True]
    low, high = model.limits(name)
    step, log = control["step"], control["log"]
    start, end = (math.log10(low), math.log10(high)) if log else (low, high)
    stops = [start + i * step for i in range(math.ceil((end - start) / step - 1e-9))] + [end]
    whole = isinstance(model.traits()[name], Int)
    values = [10**x if log else x for x in stops]
    return list(dict.fromkeys(round(x) if whole else round(x, 9) for x in values))


def thinned(model: Model, name: str, most: int) -> list[Any]:
    """About ``most`` of the :func:`steps`, evenly spread: of a number every second, third, ... one.

    Both ends are among them, and so are the present value and the presets that differ from it in this parameter alone.

    Examples
    --------
    >>> from rmt_lab.explorers import SpikeExplorer
    >>> thinned(SpikeExplorer(strength=0.4).model, "strength", 6)  # presets have 0, 0.8, 1 and 1.5
    [0.0, 0.4, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5]
    """
    found = steps(model, name)
    if model.controls()[name]["control"] != "number":
        return found
    stride = math.ceil((len(found) - 1) / (most - 1)) or 1
    kept = {model.preset_values(preset)[name] for preset in model.presets if same_but(model, preset, name)}
    kept.add(getattr(model, name))
    even = [v for v in [*found[::stride], found[-1]] if not any(math.isclose(v, other) for other in kept)]
    return sorted({*even, *kept})


def same_but(model: Model, preset: str, name: str) -> bool:
    """Whether a preset differs from the present state in one parameter at most."""
    return all(value == getattr(model, other) for other, value in model.preset_values(preset).items() if other != name)


def frame(model: Model, dpi: float, /, **changes: Any) -> Frame:
    """Picture and words of a model with other values; the model itself stays as it is.

    Parameters
    ----------
    model : Model
        Whose other parameters are kept.
    dpi : float
        Points of the picture per inch of the figure.
    **changes
        Parameters by name.

    Raises
    ------
    TypeError, TraitError
        If there is no such parameter, or its value is not allowed.

    Examples
    --------
    >>> from rmt_lab.explorers import SpikeExplorer
    >>> frame(SpikeExplorer(M=20).model, 50, strength=0.0).sentence[:28]
    'No signal in 40 × 20 noise: '
    """
    there = model.copy(**changes)
    picture = png(there.draw(Figure(figsize=there.figsize, dpi=dpi)))
    return Frame(there.parameters(), picture, there.sentence())


def value_in_words(value: Any) -> str:
    """A value of a control as a reader sees it.

    Examples
    --------
    >>> [value_in_words(v) for v in (400, 0.05, 2.0, 1000.0, True, "query")]
    ['400', '0.05', '2', '1000', 'on', 'query']
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
