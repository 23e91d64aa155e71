"""How Sphinx makes the site of what ``scripts/make_site.py`` has put together: ``make site``."""

import importlib
import re
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

from sphinx.util.nodes import make_refnode

project = "rmt_lab"
author = copyright = "The rmt_lab developers"
release = version = installed("rmt-lab")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_static", "extra"]
suppress_warnings = ["misc.highlighting_failure"]  # a cell with a shell command is no Python

# notebooks are shown as they were committed; nothing runs
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("Array", "Rng", "Rule", "Null", "Source")}
python_maximum_signature_line_length = 72
add_module_names = False
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
viewcode_line_numbers = True

bibtex_bibfiles = ["docs/references.bib"]
bibtex_default_style = "plain"

# everything comes from the folder, so that the site works without a network and from file://
MATHJAX = Path(find_spec("sphinx-mathjax-offline").submodule_search_locations[0]) / "static" / "mathjax" / "tex-svg.js"
mathjax_path = "mathjax/tex-svg.js"

html_theme = "sphinx_book_theme"
html_title = "rmt_lab"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_context = {"default_mode": "auto"}
html_extra_path = ["extra"]
html_show_sphinx = False
html_theme_options = {
    "show_navbar_depth": 1,
    "max_navbar_depth": 3,
    "show_toc_level": 2,
    "use_fullscreen_button": False,
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "course": [], "docs/explorers": []},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_selector = "div:not(.output) > div.highlight > pre"

_BARS = re.compile(r"(?<![\w`|])\|(?=[^\s|])([^|\n]*?[^\s|])\|(?![^\W_]|[`|])")


def _escape_bars(app, what, name, obj, options, lines):
    """|x| is an absolute value in our docstrings, and a substitution to docutils."""
    lines[:] = [line if line.lstrip().startswith((">>>", "...")) else _BARS.sub(r"\|\1\|", line) for line in lines]


def _find(app, env, node, contnode):
    """What a docstring calls ``analyze`` or ``rmt_lab.analyze`` is ``rmt_lab.analysis.analyze``."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    if re.fullmatch(r"rmt_lab\.\w+", target):
        named = getattr(importlib.import_module("rmt_lab"), target.rpartition(".")[2], None)
        target = f"{named.__module__}.{named.__qualname__}" if hasattr(named, "__qualname__") else target
    found = {name: entry for name, entry in domain.objects.items() if f".{name}".endswith(f".{target}")}
    room = ".".join((node.get("py:module") or target).split(".")[:2])
    if not found:  # a function of a room is known by its file, too
        last = target.rpartition(".")[2]
        found = {n: entry for n, entry in domain.objects.items() if n.startswith(room) and n.endswith(f".{last}")}
    name = min(found, key=lambda name: (found[name].aliased, not name.startswith(room), len(name)), default=None)
    if name is None:
        return None
    return make_refnode(app.builder, node["refdoc"], found[name].docname, found[name].node_id, contnode, name)


def setup(app):
    """Connect both."""
    app.connect("autodoc-process-docstring", _escape_bars)
    app.connect("missing-reference", _find)
