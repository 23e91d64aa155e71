"""Families of models as transformers builds them: every matrix found, with a role and a name; the page in the docs."""

import pytest

from rmt_lab.weights.roles import ROLES

pytest.importorskip("torch", reason="needs torch")
transformers = pytest.importorskip("transformers", reason="needs transformers")

from benchmarks import families  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found():
    transformers.logging.set_verbosity_error()
    return {name: families.look_at(name) for name in families.FAMILIES}


def test_there_are_forty_families_and_more(found):
    assert len({family.model for family in found.values()}) >= 40


@pytest.mark.parametrize("name", families.FAMILIES)
def test_every_matrix_is_found_once_and_has_a_name_of_its_own(found, name):
    family = found[name]
    assert len(family.matrices) == family.n_expected > 5
    assert family.unique
    assert all(role in ROLES for role in family.roles)


def test_other_is_only_what_the_page_explains(found):
    assert {name for name, family in found.items() if "other" in family.roles} == set(families.OTHERS)


def test_what_has_no_rule_is_explained_too(found):
    assert {name for name, family in found.items() if family.no_rule} == set(families.NO_RULE)


def test_the_page_is_what_the_command_writes(found):
    assert families.PAGE.read_text(encoding="utf-8") == families.page(list(found.values()))
