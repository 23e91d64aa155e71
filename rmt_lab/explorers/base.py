"""The half of an explorer that knows nothing of widgets: parameters, figures, words and code.

How to write an explorer
------------------------
One file, two classes. The model is pure: traits made by :func:`number`, :func:`choice` and :func:`switch` become the
controls, in that order; four methods say what is shown::

    class CoinModel(Model):
        n = number(100, 10, 1000, step=10, label="tosses n")

        presets = {"a hundred": {}, "many": {"n": 1000}}      # what differs from the defaults
        swept = "n"                                           # what a page of frames goes through

        def compute(self):                                    # every figure that is shown, from parameters and seed
            return _tosses(self.seed)[: self.n].mean()

        def draw(self, fig):                                  # axes(fig), then the library's plots; return fig
            ax = axes(fig)
            ...

        def sentence(self):                                   # what is seen now, numbers first read off self.result
            return f"{self.result:.0%} of {self.n} tosses are heads."

        def code(self):                                       # runs as it stands and gives the same numbers
            return f"tosses = np.random.default_rng({self.seed})..."

    class CoinExplorer(Explorer):
        '''One idea. Numbered questions for the reader.'''

        model_class = CoinModel

* ``self.result`` is what ``compute`` returned for the present parameters, computed once.
* Draw random numbers in a module-level function of the seed and the sizes under ``functools.lru_cache(maxsize=2)``, so
  that a slider transforms them instead of drawing others.
* Put the explorer's name into ``explorers/__init__.py``: ``tests/explorers/test_base.py`` then holds it to what every
  explorer promises (every pair of extremes, presets, 200 updates, its own code), the browser test to its keyboard.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from traitlets import All, Bool, Enum, Float, HasTraits, Int, TraitType, Unicode, observe

from .._arrays import one_blas_thread
from ..plotting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def number(default: float, low: float, high: float, step: float, label: str, log: bool = False) -> Any:
    """A trait low .. high with a slider and a number box; whole numbers if the default is one.

    With ``log`` the slider is logarithmic and ``step`` is in powers of ten.
    """
    kind: Any = Int if isinstance(default, int) else Float
    return kind(default, min=low, max=high).tag(control="number", label=label, step=step, log=log)


def choice(options: Sequence[str] | Callable[[Any], Sequence[str]], label: str, default: str | None = None) -> Any:
    """A trait with a list to choose from; the first entry is the default.

    A function of the model gives a list that depends on the other parameters. Then ``default`` says what to begin with,
    and a value that leaves the list becomes its first entry.
    """
    if callable(options):
        return Unicode(default or "").tag(control="choice", label=label, options=options)
    return Enum(list(options), default or options[0]).tag(control="choice", label=label, options=options)


def switch(default: bool, label: str) -> Any:
    """A trait that is on or off."""
    return Bool(default).tag(control="switch", label=label)


class Model(HasTraits):
    """Parameters, and what follows from them. Subclasses give traits, presets and the four methods below.

    Raises
    ------
    TypeError
        If a parameter is given that does not exist.
    TraitError
        If a value is not allowed.
    """

    seed = Int(0, min=0)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    figsize: ClassVar[tuple[float, float]] = style.FIGSIZE
    dependent: ClassVar[tuple[str, ...]] = ()  # lists that change with other parameters
    swept: ClassVar[str] = ""  # the parameter that a page of frames goes through, where no other is asked for

    def __init__(self, **parameters: Any) -> None:
        if unknown := [name for name in parameters if name not in self.names()]:
            raise TypeError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(self.names())}")
        self._computed: tuple[dict[str, Any], Any] | None = None
        super().__init__(**parameters)
        self._stay_within_options()

    def compute(self) -> Any:
        """Every figure that is shown."""
        raise NotImplementedError

    def draw(self, fig: Figure) -> Figure:
        """Draw the present state into a figure, whatever it held, and return it."""
        raise NotImplementedError

    def sentence(self) -> str:
        """What is seen now."""
        raise NotImplementedError

    def code(self) -> str:
        """Lines that make the same figure with the library alone."""
        raise NotImplementedError

    def idle(self) -> Collection[str]:
        """Parameters that do nothing in the present state, and are greyed out; ``"seed"`` for a new sample."""
        return ()

    def copy(self, **changes: Any) -> Self:
        """The same state but for some values; the model itself stays as it is."""
        return type(self)(**self.parameters() | changes)

    @property
    def result(self) -> Any:
        """What :meth:`compute` returns for the present parameters."""
        parameters = self.parameters()
        if self._computed is None or self._computed[0] != parameters:
            with one_blas_thread():  # two threads lose more when busy than they gain when idle
                self._computed = parameters, self.compute()
        return self._computed[1]

    @classmethod
    def controls(cls) -> dict[str, dict[str, Any]]:
        """What each control is made from, by its parameter's name, in the order of definition."""
        traits = [(n, t) for c in reversed(cls.__mro__) for n, t in vars(c).items() if isinstance(t, TraitType)]
        return {name: trait.metadata for name, trait in traits if "control" in trait.metadata}

    @classmethod
    def names(cls) -> list[str]:
        """All parameters, the seed last."""
        return [*cls.controls(), "seed"]

    def parameters(self) -> dict[str, Any]:
        """The present values."""
        return {name: getattr(self, name) for name in self.names()}

    def options(self, name: str) -> list[str]:
        """What may be chosen for a parameter now."""
        options = self.controls()[name]["options"]
        return list(options(self) if callable(options) else options)

    def limits(self, name: str) -> tuple[float, float]:
        """Where the slider of a number begins and ends now."""
        trait: Any = self.traits()[name]
        return trait.min, trait.max

    @classmethod
    def preset_values(cls, preset: str) -> dict[str, Any]:
        """All values of a preset but the seed."""
        defaults = cls().parameters()
        return {name: cls.presets[preset].get(name, defaults[name]) for name in cls.controls()}

    def preset(self) -> str | None:
        """Which preset the present values are, if any."""
        now = {name: getattr(self, name) for name in self.controls()}
        return next((preset for preset in self.presets if self.preset_values(preset) == now), None)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several parameters at once."""
        with self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    @observe(All)
    def _stay_within_options(self, _: Any = None) -> None:
        for name, control in self.controls().items():
            if callable(control.get("options")):
                options = self.options(name)
                if getattr(self, name) not in options:
                    setattr(self, name, options[0])


class Code(str):
    """Lines of code that show themselves as they are, in a cell as in print."""

    def __repr__(self) -> str:
        return str(self)
