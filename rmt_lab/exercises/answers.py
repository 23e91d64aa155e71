"""Reading answers: numbers, choices, arrays and functions, and what to say where they differ from the right one.

Every reader raises :class:`NotYet` with a text for the student; every comparison returns such a text, or None. No text
names the right value.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array

Values = npt.NDArray[Any]  # float64 or complex128


class NotYet(Exception):
    """The answer is not of the kind that is asked for; the text says so to the student."""


class NoAnswer(NotYet):
    """The stub still stands."""

    TEXT = "no answer given"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


def is_open(answer: Any) -> bool:
    """Whether an answer, or a part of it, is still the stub's ``...``, or None."""
    if isinstance(answer, Mapping):
        return any(map(is_open, answer.values()))
    if isinstance(answer, list | tuple):
        return any(map(is_open, answer))
    return answer is None or answer is ...


def kind(answer: Any) -> str:
    """What an answer is, in words: ``the text 'abc'``, ``an array of shape (2, 3)``."""
    if isinstance(answer, bool | np.bool_):
        return f"{bool(answer)}"
    if isinstance(answer, str):
        return f"the text {answer[:30]!r}"
    if isinstance(answer, np.ndarray):
        return f"an array of shape {answer.shape}"
    if isinstance(answer, list | tuple | dict | set):
        return f"a {type(answer).__name__} of length {len(answer)}"
    if isinstance(answer, int | float | complex | np.generic):
        return f"the number {answer}"
    if inspect.isfunction(answer) or inspect.isbuiltin(answer):
        return "a function"
    return f"a {type(answer).__name__}"


def number(answer: Any) -> float:
    """The answer as a finite float; a list or an array of one number will do."""
    while isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, np.ndarray) and answer.size == 1:
        answer = answer.reshape(-1)[0]
    if isinstance(answer, bool | np.bool_ | str | bytes) or not hasattr(answer, "__float__"):
        raise NotYet(f"the answer is {kind(answer)}, and a number is asked for")
    try:
        x = float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"the answer is {kind(answer)}, and one number is asked for") from None
    if not math.isfinite(x):
        raise NotYet(f"the answer is {x}, and a finite number is asked for")
    return x


def whole(answer: Any) -> int:
    """The answer as a whole number."""
    x = number(answer)
    if x != round(x):
        raise NotYet(f"the answer is {x:g}, and a whole number is asked for")
    return round(x)


def choice(answer: Any, options: Sequence[str]) -> str:
    """The answer as one of the options, whatever its case, spaces and punctuation.

    Where the options differ by their number only, the number is enough.

    Examples
    --------
    >>> choice("Feed forward out.", ["feed-forward in", "feed-forward out"])
    'feed-forward out'
    >>> choice(3, ["step 1", "step 2", "step 3"])
    'step 3'
    """
    listed = ", ".join(map(repr, options))
    bare = {_bare(option): option for option in options}
    if len({re.sub(_NUMBER, "", option) for option in bare}) == 1:
        bare |= {found[0]: option for option in options if len(found := re.findall(_NUMBER, option)) == 1}
    if isinstance(answer, int | float | np.integer | np.floating) and not isinstance(answer, bool):
        if f"{answer:g}" in bare:
            return bare[f"{answer:g}"]
    elif isinstance(answer, str):
        if _bare(answer) in bare:
            return bare[_bare(answer)]
        raise NotYet(f"the answer is {kind(answer)}, which is not one of {listed}")
    raise NotYet(f"the answer is {kind(answer)}, and one of {listed} is asked for, with its quotes")


_NUMBER = r"\d+(?:\.\d+)?"


def _bare(text: str) -> str:
    """Letters and numbers alone, in lower case."""
    return "".join(re.findall(rf"{_NUMBER}|[^\W\d_]", text.casefold()))


def array(answer: Any, shape: tuple[int, ...] | None = None) -> Array:
    """The answer as an array of finite floats, of that shape if one is given."""
    wanted = f"an array of shape {shape}" if shape is not None else "an array of numbers"
    x = _values(answer, "iuf", wanted)
    if shape is not None and x.shape != shape:
        raise NotYet(f"the answer has shape {x.shape}, and {wanted} is asked for")
    return x


def _values(answer: Any, kinds: str, wanted: str) -> Values:
    """The answer as an array of finite numbers of these kinds: integer, unsigned, float, complex by numpy's letters."""
    try:
        x = np.asarray(None if isinstance(answer, str | bytes | dict | set) else answer)
    except (TypeError, ValueError):  # ragged lists
        x = np.asarray(None)
    if x.dtype.kind not in kinds:
        raise NotYet(f"the answer is {kind(answer)}, and {wanted} is asked for")
    if not np.isfinite(x).all():
        raise NotYet(f"{np.count_nonzero(~np.isfinite(x))} of {x.size} values of the answer are NaN or infinite")
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def close(x: Any, value: Any, rtol: float = 0.01, atol: float = 0.0) -> bool:
    """Whether every x is within rtol |value| + atol of the value."""
    return np.shape(x) == np.shape(value) and bool(np.all(np.abs(np.subtract(x, value)) <= rtol * np.abs(value) + atol))


def near(x: float, value: float, rtol: float = 0.01, atol: float = 0.0) -> str | None:
    """What is wrong with a number, if anything: its sign, or the direction in which it is off."""
    if close(x, value, rtol, atol):
        return None
    if value and close(-x, value, rtol, atol):
        return "the size is right, the sign is not"
    return f"{x:.4g} is too {'large' if x > value else 'small'}"


def all_near(x: Values, value: Values, rtol: float = 0.01, atol: float = 0.0) -> str | None:
    """What is wrong with an array, if anything: how many of its values are off, and whether only their order is."""
    if close(x, value, rtol, atol):
        return None
    if x.ndim == 1 and close(np.sort(x), np.sort(value), rtol, atol):
        return "the values are right, their order is not"
    off = np.count_nonzero(~(np.abs(x - value) <= rtol * np.abs(value) + atol))
    return f"{off} of {x.size} values are off"


def agrees(
    answer: Any,
    reference: Callable[..., Any],
    inputs: Sequence[tuple[Any, ...]],
    rtol: float = 1e-6,
    atol: float = 1e-12,
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
) -> str | None:
    """What is wrong with a function, if anything, told by trying it on inputs that the student does not see.

    Parameters
    ----------
    answer
        Whatever the student gave.
    reference : callable
        The right function; its parameters' names are those that the texts use.
    inputs : sequence of tuples
        Positional arguments, drawn with a fixed seed.
    rtol, atol : float
        What counts as equal.
    mistakes : mapping from text to callable, optional
        Wrong functions to expect: a text is returned where the answer does as its function does.
    """
    names = list(inspect.signature(reference).parameters)
    results = _results(answer, names, inputs)
    fault = None
    for args, result in zip(inputs, results, strict=True):
        fault = _differs(result, reference(*copy.deepcopy(args)), rtol, atol)
        if fault:
            fault = f"for {_show(names, args)} {fault}"
            break
    if fault is None:
        return None
    for text, mistake in (mistakes or {}).items():
        pairs = ((mistake(*copy.deepcopy(a)), r) for a, r in zip(inputs, results, strict=True))
        if all(_differs(r, m, rtol, atol) is None for m, r in pairs):
            return text
    return fault


def holds(
    answer: Any,
    names: Sequence[str],
    inputs: Sequence[tuple[Any, ...]],
    properties: Mapping[str, Callable[[tuple[Any, ...], Any], bool]],
    together: Mapping[str, Callable[[list[Any]], bool]] | None = None,
) -> str | None:
    """What is wrong with a function that has no single right result, told by properties that its results must have.

    Parameters
    ----------
    answer
        Whatever the student gave.
    names : sequence of str
        The parameters' names, as the texts use them.
    inputs : sequence of tuples
        Positional arguments that the student does not see. A generator among them is copied for every call, so that
        equal generators must give equal results.
    properties : mapping from text to callable
        Each is called with an input's arguments and the function's result for them. Where one does not hold, its text
        is returned. For each input they are tried in their order, so a later one can rely on an earlier one.
    together : mapping from text to callable, optional
        Properties of the list of all results, tried after those.

    Examples
    --------
    >>> rises = {"the values do not rise": lambda args, y: bool(np.all(np.diff(y) > 0))}
    >>> holds(np.cumsum, ["x"], [(np.ones(3),), (np.array([1.0, -1.0]),)], rises)
    'for x = [ 1., -1.] the values do not rise'
    """
    results = _results(answer, names, inputs)
    for args, result in zip(inputs, results, strict=True):
        if result is None or result is ...:
            return f"for {_show(names, args)} the function returns nothing (is a return missing?)"
        for text, property in properties.items():
            if not property(copy.deepcopy(args), result):
                return f"for {_show(names, args)} {text}"
    return next((text for text, property in (together or {}).items() if not property(results)), None)


def _results(answer: Any, names: Sequence[str], inputs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What a function returns for the inputs, each given to it as a copy."""
    if not callable(answer) or isinstance(answer, type):
        raise NotYet(f"the answer is {kind(answer)}, and a function is asked for (its name, without brackets)")
    results = [_call(answer, names, args) for args in inputs]
    if all(r is None or r is ... for r in results):
        raise NoAnswer
    return results


def _call(answer: Callable[..., Any], names: Sequence[str], args: tuple[Any, ...]) -> Any:
    try:
        return answer(*copy.deepcopy(args))
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise NotYet(f"for {_show(names, args)} the function raised {said}") from None


def _differs(result: Any, wanted: Any, rtol: float, atol: float) -> str | None:
    if result is None or result is ...:
        return "the function returns nothing (is a return missing?)"
    y = np.asarray(wanted)
    noun = "one number" if y.ndim == 0 else f"an array of shape {y.shape}"
    try:
        x = _values(result, "iuf" if y.dtype.kind != "c" else "iufc", noun)
    except NotYet as refusal:
        return str(refusal).replace("the answer", "the result")
    if x.shape != y.shape:
        return f"the result has shape {x.shape}, and {noun} is asked for"
    if y.ndim:
        fault = all_near(x, y, rtol, atol)
    elif y.dtype.kind == "c":
        fault = None if close(x, y, rtol, atol) else f"{x:.4g} is not the right value"
    else:
        fault = near(float(x), float(y), rtol, atol)
    return fault and f"the result is not right: {fault}"


def _show(names: Sequence[str], args: tuple[Any, ...]) -> str:
    """Arguments by name, as a student can type them where they are short."""
    return ", ".join(f"{name} = {_short(a)}" for name, a in zip(names, args, strict=False))


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 6:
        return f"an array of shape {value.shape}"
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=4, separator=", ")
    if isinstance(value, np.random.Generator):
        return "a random generator"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
