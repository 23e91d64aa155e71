"""One version and one date of release, in every file that tells them."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

import rmt_lab

ROOT = Path(__file__).parents[2]


def script(name):
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


versions = script("versions")


def told(version="1.2.0", date="2026-12-01", **changed):
    agreed = {"pyproject.toml": (version, None), "CITATION.cff": (version, date), "CHANGELOG.md": (version, date)}
    return agreed | changed


def test_the_files_of_this_repository_agree():
    found = versions.found()
    assert versions.disagreement(found) is None
    assert found["pyproject.toml"] == (rmt_lab.__version__, None)


@pytest.mark.parametrize(
    ("versions_told", "tag", "wrong"),
    [
        (told(), "v1.2.0", None),
        (told(date=""), None, None),
        (told(**{"CITATION.cff": ("1.1.0", "2026-12-01")}), None, "the versions differ"),
        (told(**{"CITATION.cff": ("1.2.0", "")}), None, "the dates of release differ"),
        (told(**{"CITATION.cff": ("1.2.0", "2026-12-02")}), None, "the dates of release differ"),
        (told(), "v1.2.1", "the tag is v1.2.1"),
        (told(), "1.2.0", "the tag is 1.2.0"),
        (told(date=""), "v1.2.0", "the date of release is missing"),
    ],
)
def test_what_disagrees_is_told(versions_told, tag, wrong):
    found = versions.disagreement(versions_told, tag)
    assert found is None if wrong is None else found.startswith(wrong)


def test_a_date_is_read_from_both_files(tmp_path):
    (tmp_path / "rmt_lab").mkdir()
    for name, text in {
        "pyproject.toml": '[project]\nversion = "1.2.0"\n',
        "rmt_lab/__init__.py": '__version__ = "1.2.0"\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.0\ndate-released: 2026-12-01\n",
        "CHANGELOG.md": "# Changelog\n\n## 1.2.0 (2026-12-01)\n\n## 1.1.0 (2026-11-01)\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = versions.found(tmp_path)
    assert versions.disagreement(found, "v1.2.0") is None
    assert found["CHANGELOG.md"] == found["CITATION.cff"] == ("1.2.0", "2026-12-01")


def test_lower_bounds_become_versions():
    lowest = script("lowest").lowest
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {line.split("==")[0] for line in lowest(project)} >= {"numpy", "torch", "typst"}
    extras = {"x": ["b>=2,<3"], "dev": ["d"]}
    assert lowest({"dependencies": ["a-b>=1.0"], "optional-dependencies": extras}) == ["a-b==1.0", "b==2"]
    with pytest.raises(ValueError, match="a requirement is 'a==1'; NAME>=VERSION"):
        lowest({"dependencies": ["a==1"], "optional-dependencies": {}})
