"""Check that one version and one date of release are told everywhere; for a release, that its tag tells them too.

    python scripts/versions.py               # pyproject.toml, rmt_lab, CITATION.cff and CHANGELOG.md
    python scripts/versions.py --tag v0.1.0  # also the tag, and that there is a date

Until a version is released, CHANGELOG.md calls it "unreleased" and CITATION.cff has no ``date-released``.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGES = re.compile(r"^## (\S+) \((unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


def found(root: Path = ROOT) -> dict[str, tuple[str, str | None]]:
    """Version and date by file: a date of "" where the file says none yet, of None where it has no place for one."""
    text = {p: (root / p).read_text(encoding="utf-8") for p in ("CITATION.cff", "CHANGELOG.md", "rmt_lab/__init__.py")}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = dict(re.findall(r"^(version|date-released): (\S+)$", text["CITATION.cff"], re.MULTILINE))
    latest = CHANGES.search(text["CHANGELOG.md"])
    code = re.search(r'^__version__ = "(.+)"$', text["rmt_lab/__init__.py"], re.MULTILINE)
    return {
        "pyproject.toml": (project["version"], None),
        "rmt_lab/__init__.py": (code[1] if code else "", None),
        "CITATION.cff": (citation.get("version", ""), citation.get("date-released", "")),
        "CHANGELOG.md": (latest[1], latest[2].replace("unreleased", "")) if latest else ("", ""),
    }


def disagreement(versions: dict[str, tuple[str, str | None]], tag: str | None = None) -> str | None:
    """What is wrong with the versions and dates of :func:`found`, or None."""
    told = ", ".join(f"{file}: {version} {date or ''}".rstrip() for file, (version, date) in versions.items())
    dates = {date for _, date in versions.values() if date is not None}
    if len({version for version, _ in versions.values()}) > 1:
        return f"the versions differ ({told})"
    if len(dates) > 1:
        return f"the dates of release differ ({told})"
    if tag is not None and tag != f"v{versions['pyproject.toml'][0]}":
        return f"the tag is {tag} ({told})"
    if tag is not None and dates == {""}:
        return f"the date of release is missing ({told})"
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check that one version is told everywhere.")
    parser.add_argument("--tag", help="the tag of a release")
    if wrong := disagreement(found(), parser.parse_args().tag):
        raise SystemExit(wrong)
