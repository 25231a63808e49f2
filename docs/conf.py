"""The documentation site: ``sphinx-build -W --keep-going -n -c docs . OUT`` makes it, offline.

The source folder is the whole repository, so that the format's specification, the changes and the pages of ``docs/``
are each one file, and a relative link is the same on the site and in the repository. Anything that Sphinx warns of is a
failure in the tests: a link to nothing, a page in no table of contents, a type that the reference does not hold.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "cli"), str(ROOT / "formats"), str(ROOT / "docs" / "_extensions")]

from numpydoc.xref import DEFAULT_LINKS

from freqcache import __version__

project = "freqcache"
author = "the authors of freqcache"
version = release = __version__

root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "formats/v1/spec.md",
    "formats/v1/conformance/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["**/.*", ".venv", "formats/v1/conformance/valid", "formats/v1/conformance/invalid"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "commands", "references"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True
numpydoc_xref_param_type = True
# Without links into the documentation of Python and numpy: builds are offline.
numpydoc_xref_aliases = {name: name for name in DEFAULT_LINKS}
smartquotes = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

# A reference to one of our own names must be found; what belongs to numpy, torch and others is not in this site.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!freqcache).*")]

html_theme = "furo"
html_title = f"freqcache {version}"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_additional_pages = {"index": "to-index.html"}
templates_path = ["_templates"]
pygments_style = "default"
