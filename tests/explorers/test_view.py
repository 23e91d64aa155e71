"""The parts of an explorer, by one made for the purpose: lists that depend on each other, sliders, wrong arguments."""

import pytest
import traitlets

from rmt_lab import explorers
from rmt_lab.explorers.base import Model, choice, number
from rmt_lab.explorers.view import Explorer
from rmt_lab.plotting.style import axes


class ShelfModel(Model):
    shelf = choice(["fruit", "bread"], "shelf")
    item = choice(lambda m: {"fruit": ["apple", "plum"], "bread": ["rye", "oat"]}[m.shelf], "item", "apple")
    amount = number(10, 1, 1000, step=0.1, label="amount", log=True)

    presets = {"apples": {}, "bread": {"shelf": "bread", "item": "oat"}}  # noqa: RUF012

    def compute(self):
        self.computed = getattr(self, "computed", 0) + 1
        return self.item, self.amount

    def draw(self, fig):
        axes(fig).set_title(f"{self.result}", loc="left")
        return fig

    def sentence(self):
        return f"{self.amount} × {self.item}."


class ShelfExplorer(Explorer):
    model_class = ShelfModel


def test_a_list_may_depend_on_another_parameter():
    model = ShelfModel()
    model.shelf = "bread"
    assert model.item == "rye"
    shown = ShelfExplorer(shelf="bread", item="oat")
    assert shown.controls["item"].options == ("rye", "oat")
    assert (shown.controls["item"].value, shown.presets.value) == ("oat", "bread")
    shown.presets.value = "apples"
    assert shown.controls["item"].options == ("apple", "plum")
    assert shown.controls["item"].value == shown.model.item == "apple"
    shown.buttons["reset"].click()
    assert shown.model.item == shown.controls["item"].value == "oat"


def test_a_logarithmic_slider_of_whole_numbers():
    shown = ShelfExplorer()
    shown.controls["amount"].value = 10**1.5
    assert shown.model.amount == shown.controls["amount box"].value == 32
    assert "32 × apple" in shown.picture.words


def test_a_number_between_two_stops_stays_as_it_is():
    shown = explorers.BulkExplorer()
    slider, box = shown.controls["M"], shown.controls["M box"]
    box.value = 765
    assert (shown.model.M, slider.value) == (765, 765)
    slider.value = 780
    assert (shown.model.M, box.value) == (780, 780)
    shown.controls["sigma"].value = 0.1 + 0.05
    assert shown.model.sigma == shown.controls["sigma box"].value == 0.15


def test_a_state_is_computed_and_drawn_once():
    shown = ShelfExplorer()
    assert shown.model.computed == 1
    shown.presets.value = "bread"
    assert shown.model.computed == 2
    shown.model.update({"amount": 5, "item": "rye"})
    assert shown.model.computed == 3


def test_a_wrong_parameter_is_named():
    with pytest.raises(TypeError, match="'itme'; it has shelf, item, amount, seed"):
        ShelfExplorer(itme="apple")
    with pytest.raises(traitlets.TraitError, match="'amount'"):
        ShelfExplorer(amount=1001)
