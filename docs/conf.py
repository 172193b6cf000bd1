"""Builds the pages of this folder and the reference from the docstrings.

sphinx-build -W docs build/docs
"""

import os

from metaecg import __version__

os.environ["SPHINX_APIDOC_OPTIONS"] = "members"  # its own setting does not reach the pages

project = "metaecg"
author = "metaecg contributors"
copyright = "metaecg contributors"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
apidoc_modules = [
    {
        "path": "../metaecg",
        "destination": "api",  # a page a room, written at each build and not kept
        "separate_modules": False,
        "module_first": True,
    }
]
html_theme = "furo"
html_title = f"metaecg {release}"

myst_heading_anchors = 3
default_role = "literal"  # `names` in docstrings are code
napoleon_use_ivar = True  # attributes of a class stay in its description, not entries of their own
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# A room offers names that its modules describe: each is described once, where it is defined.
autodoc_default_options = {"members": True, "ignore-module-all": True}


def setup(app):
    app.connect("autodoc-skip-member", _skip)


def _skip(app, what, name, obj, skip, options):
    """Fields of a NamedTuple are described in its docstring; each by itself says nothing more."""
    return True if type(obj).__name__ in ("_tuplegetter", "member_descriptor") else None
