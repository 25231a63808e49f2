"""What a reference to a name of ours may point at, and how a signature is written.

Public types in signatures must be in the reference: Sphinx warns of one that is not, and that is a failure. A docstring
may also mention a module or a name that is not public: it is shown as it stands, if it exists.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import freqcache

_FIRST = "docs/reference/python"
_PACKAGES = ("freqcache", "freqcache_cli", "freqcache_formats")


def accept_what_exists(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Return the text of a reference in a docstring to something of ours that exists, None for any other."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or target.split(".")[0] not in _PACKAGES:
        return None
    private = target.rpartition(".")[2].startswith("_") or len(target.rpartition(".")[2]) == 1  # type variables
    if node["reftype"] == "class" and not private:
        return None
    return content if _exists(target) else None


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            if find_spec(module) is None:
                continue
        except ModuleNotFoundError:
            continue
        value: Any = import_module(module)
        for part in parts[length:]:
            if not hasattr(value, part):
                # An instance's attribute: named by the docstring of its class.
                return isinstance(value, type) and part in (value.__doc__ or "").split()
            value = getattr(value, part)
        return True
    return False


def write_defaults(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write a dataclass's default that is made anew each time as an ellipsis, so that the signature is Python."""
    return (signature.replace("<factory>", "...") if signature else signature), returns


def skip_members(app: Sphinx, _what: str, _name: str, value: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out what the page of the package ``freqcache`` holds from other pages, and the fields of named tuples.

    The fields are described by the docstring of their class.
    """
    if (getattr(value, "__doc__", None) or "").startswith("Alias for field number"):
        return True
    names = (name for name in freqcache.__all__ if not name.startswith("__"))
    elsewhere = app.env.docname != _FIRST and any(value is getattr(freqcache, name) for name in names)
    return True if elsewhere else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect them."""
    app.connect("missing-reference", accept_what_exists)
    app.connect("autodoc-process-signature", write_defaults)
    app.connect("autodoc-skip-member", skip_members)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
