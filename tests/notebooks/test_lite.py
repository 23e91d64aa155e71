"""JupyterLite: the folder is complete, Pyodide has every other package, and the course is installed and imported there.

PyPI has no numpy for Pyodide. So the browser gets Pyodide from npm with wheels of pure Python beside it, and what needs
no numpy is tried. ``RMT_LAB_LITE=1`` runs notebook 00 with Pyodide from its own host, for whoever has a network.
"""

import contextlib
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from email.parser import Parser
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import page
from course import NOTEBOOKS, ROOT, cells, script
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import rmt_lab

pytest.importorskip("jupyterlite_pyodide_kernel", reason='JupyterLite is not installed: pip install -e ".[lite]"')

make_lite = script("make_lite")
pytestmark = pytest.mark.slow

MOST_MEGABYTES = 40
COURSE = "rmt-lab[rivals]"  # what the first cell of a notebook installs
EMSCRIPTEN = {"sys_platform": "emscripten", "platform_system": "Emscripten", "os_name": "posix"}
OF_KERNEL = ["micropip", "ipython", "jedi"]  # what the kernel itself takes from Pyodide
PURE = ["lazy-loader", "tqdm", "typing-extensions"]  # and what is tried here
ENTER = "c => jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(c)"
RUN = """async () => {
    const notebook = jupyterapp.shell.currentWidget.content, cell = notebook.activeCell;
    await jupyterapp.commands.execute('notebook:run-cell-and-insert-below');
    return cell.model.outputs.toJSON();
}"""


@pytest.fixture(scope="module")
def pypi(tmp_path_factory):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path_factory.mktemp("x")]
    if subprocess.run([*command, "lazy_loader"], capture_output=True).returncode:
        pytest.skip("PyPI cannot be reached")


@pytest.fixture(scope="module")
def pyodide(tmp_path_factory):
    """The folder of Pyodide from npm, in the version of the kernel: interpreter, standard library, list of packages."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("pyodide")
    if npm is None:
        pytest.skip("no npm on this machine")
    if subprocess.run([npm, "ping"], capture_output=True).returncode:
        pytest.skip("npm's registry cannot be reached")
    subprocess.run([npm, "pack", f"pyodide@{make_lite.PYODIDE_VERSION}"], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    shutil.unpack_archive(archive, folder, filter="data")
    return folder / "package"


@pytest.fixture(scope="module")
def lock(pyodide):
    return json.loads((pyodide / "pyodide-lock.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(pypi, tmp_path_factory):
    """What `make lite` makes."""
    return make_lite.make(tmp_path_factory.mktemp("lite") / "site" / "lite")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit, match="holds something else"):
        make_lite.make(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def settings(folder):
    return json.loads((folder / "jupyter-lite.json").read_text(encoding="utf-8"))["jupyter-config-data"]


def test_the_folder_has_the_notebooks_and_what_they_need(made):
    files = made / "files" / "notebooks"
    assert {p.relative_to(files) for p in files.rglob("*") if p.is_file()} == {
        p.relative_to(ROOT / "notebooks") for p in NOTEBOOKS
    }
    for path in NOTEBOOKS:
        assert (made / "files" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    listed = json.loads((made / "api" / "contents" / "notebooks" / "all.json").read_text(encoding="utf-8"))["content"]
    assert len(listed) == len([p for p in NOTEBOOKS if p.parent.name == "notebooks"]) + 1  # the folder of extras
    assert (made / "files" / "binder" / "badge-colab.svg").exists()
    names = {extension["name"] for extension in settings(made)["federated_extensions"]}
    assert names == {"@jupyter-widgets/jupyterlab-manager", "@jupyterlite/pyodide-kernel-extension", "anywidget"}
    fonts = {path.suffix for path in (made / "build").glob("fa-*")}
    assert fonts == {".woff", ".woff2"}  # of the icons; the older forms of the same are left out
    assert make_lite.megabytes(made) < MOST_MEGABYTES


def test_the_first_page_leads_to_every_notebook_and_says_what_was_checked(made):
    text = (made / "index.html").read_text(encoding="utf-8")
    links = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attributes: links.extend(v for k, v in attributes if k == "href")
    reader.feed(text)
    assert all((made / urlsplit(link).path).exists() for link in links)
    asked = [path for link in links for path in parse_qs(urlsplit(link).query).get("path", [])]
    assert asked == [path.relative_to(ROOT).as_posix() for path in NOTEBOOKS]
    assert f"Pyodide {make_lite.PYODIDE_VERSION} " in text
    assert "experimental" in text
    assert 'id="jupyter-config-data"' in text  # without it the applications do not start


def requirements(wheel):
    """What a wheel asks for, and of which Python."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        told = Parser().parsestr(archive.read(name).decode())
    return [Requirement(line) for line in told.get_all("Requires-Dist", [])], SpecifierSet(told["Requires-Python"])


def unmet(asked, python, versions, more):
    """The requirements that versions do not meet, with all that they require in turn.

    ``more`` has the requirements and the Python of a package by its name.
    """
    found, seen, waiting = [], set(), [Requirement(asked)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        version = versions.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement}: {version or 'missing'}")
        if (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        needed, pythons = more.get(name, ([], SpecifierSet()))
        if python not in pythons:
            found.append(f"{name} wants Python {pythons}: {python}")
        place = EMSCRIPTEN | {"python_version": python.rpartition(".")[0], "python_full_version": python}
        for each in needed:
            extras = [place | {"extra": extra} for extra in ("", *requirement.extras)]
            if each.marker is None or any(each.marker.evaluate(environment) for environment in extras):
                waiting.append(each)
    return found


def test_an_unmet_requirement_is_found():
    more = {
        "a": ([Requirement("b>=2; python_version > '3.12'"), Requirement("c; extra == 'x'")], SpecifierSet(">=3.11")),
        "b": ([Requirement("d<3; sys_platform != 'win32'"), Requirement("e; sys_platform == 'win32'")], SpecifierSet()),
    }
    versions = {"a": "1.0", "b": "2.1", "c": "1", "d": "2.9"}
    assert unmet("a[x]", "3.14.2", versions, more) == []
    assert unmet("a", "3.14.2", versions | {"b": "1.9"}, more) == ['b>=2; python_version > "3.12": 1.9']
    assert unmet("a", "3.14.2", versions | {"d": "3.0"}, more) == ['d<3; sys_platform != "win32": 3.0']
    assert unmet("a[x]", "3.14.2", {k: v for k, v in versions.items() if k != "c"}, more) == [
        'c; extra == "x": missing'
    ]
    assert unmet("a", "3.10.1", versions, more) == ["a wants Python >=3.11: 3.10.1"]


def test_pyodide_or_the_folder_has_every_package_in_a_version_that_the_course_accepts(made, lock):
    kernel = made / "extensions" / "@jupyterlite" / "pyodide-kernel-extension" / "static" / "pypi"
    wheels = {}
    for folder in (made / "pypi", kernel):
        index = json.loads((folder / "all.json").read_text(encoding="utf-8"))
        for name, told in index.items():
            newest = max(told["releases"], key=lambda version: [int(n) for n in version.split(".")])
            wheels[canonicalize_name(name)] = newest, folder / told["releases"][newest][0]["filename"]
    packages = {canonicalize_name(name): told for name, told in lock["packages"].items()}
    ours = {canonicalize_name(re.split("-", p.name)[0]) for p in (made / "pypi").glob("*.whl")}
    assert ours == {"rmt-lab", *map(canonicalize_name, make_lite.WHEELS)}
    assert ours.isdisjoint(packages), "Pyodide has it now: take it out of WHEELS"
    versions = {name: told["version"] for name, told in packages.items()} | {n: v for n, (v, _) in wheels.items()}
    more = {name: ([Requirement(n) for n in told["depends"]], SpecifierSet()) for name, told in packages.items()}
    more |= {name: requirements(wheel) for name, (_, wheel) in wheels.items()}
    assert unmet(COURSE, lock["info"]["python"], versions, more) == []
    assert lock["info"]["python"].startswith(f"{make_lite.PYODIDE_PYTHON_VERSION}.")
    assert COURSE in "".join(cells(NOTEBOOKS[0])[1].source)


@contextlib.contextmanager
def served(folder):
    """The address of a folder, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def steerable(folder):
    """Let a test reach JupyterLab's commands in the page."""
    path = folder / "jupyter-lite.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["jupyter-config-data"]["exposeAppInBrowser"] = True
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def whole(pyodide, lock, pypi, tmp_path):
    """The folder with Pyodide in it, and with the wheels that are tried.

    Pyodide has wheels of its own making on a host of its own. These are from PyPI, in the same versions.
    """
    folder = tmp_path / "pyodide"
    shutil.copytree(pyodide, folder)
    packages = {canonicalize_name(name): told for name, told in lock["packages"].items()}
    names, waiting = set(), [*OF_KERNEL, *PURE]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in names:
            names.add(name)
            waiting += packages[name]["depends"]
    pure = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", *pure]
    command += [f"--python-version={make_lite.PYODIDE_PYTHON_VERSION}"]
    subprocess.run([*command, *(f"{n}=={packages[n]['version']}" for n in names)], check=True)
    for name in names:
        wheel = folder / packages[name]["file_name"]
        packages[name]["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    return steerable(make_lite.make(tmp_path / "lite", folder))


@pytest.mark.browser
def test_the_course_is_installed_and_imported_in_a_browser(whole):
    package = ROOT / "rmt_lab"
    sources = len(list(package.rglob("*.py")))
    shipped = len([p for p in (package / "data").rglob("*") if p.is_file()])
    install = "".join(cells(NOTEBOOKS[0])[1].source).replace(COURSE, "--no-deps rmt-lab powerlaw lazy-loader tqdm")
    with page() as tab, served(whole) as address:
        foreign = []
        tab.on("request", lambda r: foreign.append(r.url) if r.url.startswith("http") else None)
        tab.goto(f"{address}/lab/index.html")
        tab.wait_for_function("window.jupyterapp && jupyterapp.started", timeout=90_000)
        tab.evaluate("() => jupyterapp.commands.execute('notebook:create-new', {kernelName: 'python'})")
        tab.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        tab.locator("#jp-main-statusbar >> text=/Idle/").wait_for(timeout=180_000)

        def said(code):
            tab.evaluate(ENTER, code)
            return "".join(str(o.get("text", o.get("evalue", o.get("data")))) for o in tab.evaluate(RUN))

        assert said(install) == ""
        assert said("import rmt_lab, rmt_lab.report; print(rmt_lab.__version__, *rmt_lab.__all__)").split() == [
            rmt_lab.__version__,
            *rmt_lab.__all__,
        ]
        said("from pathlib import Path; folder = Path(rmt_lab.__file__).parent; sources = [*folder.rglob('*.py')]")
        said("for path in sources: compile(path.read_text(), path, 'exec')")
        assert said("print(len(sources))").split() == [str(sources)]
        shown = said("print(len([p for p in (folder / 'data').rglob('*') if p.is_file()]))")
        assert shown.split() == [str(shipped)]
        assert said("rmt_lab.Spectrum") == "No module named 'numpy'"
        said("from tqdm.auto import tqdm\nwith tqdm([1, 2], delay=10) as bar: seen = list(bar)")
        assert said("print(seen)").split() == ["[1,", "2]"]
        assert said("with tqdm([1, 2], delay=10) as bar: seen = list(bar)") == ""  # no warning about a thread
        assert said("%pip install --quiet ipywidgets anywidget") == ""
        said("import anywidget, ipywidgets; slider, label = ipywidgets.IntSlider(3), ipywidgets.Label()")
        said("slider.observe(lambda change: setattr(label, 'value', f'moved to {change.new}'), 'value')")
        said("display(ipywidgets.VBox([slider, label]))")
        tab.locator(".noUi-handle").focus()
        tab.keyboard.press("ArrowRight")
        tab.locator("text=moved to 4").wait_for(timeout=30_000)
        assert {url for url in foreign if not url.startswith(address)} == set()


@pytest.mark.browser
@pytest.mark.skipif(not os.environ.get("RMT_LAB_LITE"), reason="needs Pyodide's host: set RMT_LAB_LITE=1")
def test_notebook_00_runs_in_a_browser(made, tmp_path):
    folder = steerable(shutil.copytree(made, tmp_path / "lite"))
    with page() as tab, served(folder) as address:
        tab.goto(f"{address}/lab/index.html?path=notebooks/{NOTEBOOKS[0].name}")
        tab.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        tab.locator("#jp-main-statusbar >> text=/Idle/").wait_for(timeout=600_000)
        tab.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
        ran = tab.evaluate("() => jupyterapp.shell.currentWidget.content.model.toJSON()")
    code = [cell for cell in ran["cells"] if cell["cell_type"] == "code"]
    assert [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"] == []
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])
