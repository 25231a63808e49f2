"""The documentation site builds without a warning, offline, and holds every command and every public name.

Sphinx warns of links to nothing, of pages in no table of contents, and of types in signatures that the reference does
not hold; here any warning is a failure. ``docs/conf.py`` says how it is made.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from freqcache_cli.main import cli

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = (
    "freqcache",
    "freqcache.building",
    "freqcache.engines",
    "freqcache.errors",
    "freqcache.exporting",
    "freqcache.inspection",
    "freqcache.jpeg",
    "freqcache.models",
    "freqcache.planning",
    "freqcache.rewriting",
    "freqcache.selection",
    "freqcache.sources",
    "freqcache.store",
    "freqcache.sweep",
    "freqcache.training",
    "freqcache.transforms",
    "freqcache.verification",
    "freqcache_formats",
)
"""Packages whose ``__all__`` the reference must hold."""

OTHER_NAMES = {"open_store": "freqcache.open"}
"""What stands in the reference under the name that users call it by."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = ["-b", "html", "-q", "-n", "-W", "--keep-going", "-c", "docs", "-d", str(out / "doctrees"), "."]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *command, str(out / "html")],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, BeautifulSoup]:
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(site.rglob("*.html"))
    }


def commands_of(group: click.Group, context: click.Context) -> list[str]:
    """Return the path of every visible command below a group."""
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{context.command_path} lists {name} and does not have it"
        if command.hidden:
            continue
        child = click.Context(command, info_name=name, parent=context)
        found.append(child.command_path)
        if isinstance(command, click.Group):
            found += commands_of(command, child)
    return found


def inventory(site: Path) -> set[str]:
    """Return the names that the site can be linked to by, from ``objects.inv``."""
    content = (site / "objects.inv").read_bytes()
    *_, packed = content.split(b"\n", 4)
    return {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_every_command_has_its_section(pages: dict[Path, BeautifulSoup]) -> None:
    (page,) = [page for path, page in pages.items() if path.match("docs/reference/commands.html")]
    paths = commands_of(cli, click.Context(cli, info_name="freqcache"))
    assert len(paths) > 8
    for path in paths:
        section = page.find(id=nodes.make_id(path))
        assert section is not None, f"{path} is not on the page"
        assert section.find("pre").get_text().startswith(path)
        assert "--help" in section.get_text()


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    known = inventory(site)
    last_parts = {name.rpartition(".")[2] for name in known if name.startswith("freqcache")}
    missing = []
    for package in PUBLIC:
        names = [name for name in import_module(package).__all__ if not name.startswith("__")]
        assert names
        for name in names:
            there = OTHER_NAMES[name] in known if name in OTHER_NAMES else name in last_parts
            if not there:
                missing.append(f"{package}.{name}")
    assert not missing


def test_links_and_pictures_lead_somewhere(site: Path, pages: dict[Path, BeautifulSoup]) -> None:
    ids = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    broken, checked = [], 0
    for path, page in pages.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in page.find_all(tag, **{attribute: True}):
                link = urlsplit(element[attribute])
                if link.scheme or link.netloc:
                    continue
                target = (path.parent / unquote(link.path)).resolve() if link.path else path
                there = target.exists() and (not link.fragment or target not in ids or link.fragment in ids[target])
                checked += 1
                if not there:
                    broken.append(f"{path.relative_to(site)}: {element[attribute]}")
    assert not broken
    assert checked > 1000


def test_the_top_of_the_site_leads_to_its_first_page(site: Path, pages: dict[Path, BeautifulSoup]) -> None:
    assert "url=docs/index.html" in str(pages[site / "index.html"].find("meta", attrs={"http-equiv": "refresh"}))


def test_commands_of_nested_groups_are_found() -> None:
    """The directive asks groups for their commands, as lazily loaded ones need it."""
    spec = importlib.util.spec_from_file_location("commands_extension", ROOT / "docs" / "_extensions" / "commands.py")
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)

    class Lazy(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return ["inner", "secret"]

        def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
            if name == "inner":
                return click.Group("other-name", commands={"leaf": click.Command("leaf", help="A leaf.")})
            return click.Command("secret", hidden=True)

    found = [context.command_path for context in extension.walk(Lazy("top"), "top")]
    assert found == ["top", "top inner", "top inner leaf"]
