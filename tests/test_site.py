"""The documentation as a site: it is built whole, knows every command, and fetches nothing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.test_docs import COMMANDS

ROOT: Final = Path(__file__).resolve().parent.parent
SHIM: Final = ROOT / "docs" / "assets" / "iframe-worker" / "shim.js"
SHIM_SHA256: Final = "e8e412dbcfea9b7e31b5ffa288d7b6035915e714c542f4176a0cdbe262fc9609"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning an error: links, anchors and pages outside the menu."""
    target = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(target)))
    return target


def test_every_page_is_built(site: Path) -> None:
    """Of each page of the documentation there is one of the site."""
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    made = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert pages <= made
    assert pages


def test_every_command_and_option_stands_in_the_reference(site: Path) -> None:
    """The page is made of the commands themselves."""
    page = (site / "reference" / "commands.html").read_text("utf-8")
    headings = set(re.findall(r'<h[23] id="([a-z-]+)"', page))
    assert {name.replace(" ", "-") for name in COMMANDS} <= headings
    options = {opt for found in COMMANDS.values() for p in found.params for opt in p.opts}
    options = {opt for opt in options if opt.startswith("--") and opt != "--help"}
    assert not sorted(opt for opt in options if opt not in page)


def test_the_site_fetches_nothing(site: Path) -> None:
    """Scripts, styles, fonts and pictures are its own: it is read where there is no internet."""
    for path in site.rglob("*.html"):
        page = path.read_text("utf-8")
        fetched = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]+)"', page)
        assert not [one for one in fetched if "://" in one or one.startswith("//")], path
    assert not [
        path
        for path in site.rglob("*.css")
        if re.search(r"url\(['\"]?https?:", path.read_text("utf-8"))
    ]


def test_what_came_from_elsewhere_is_what_came() -> None:
    """The one script of others, beside the theme's."""
    assert hashlib.sha256(SHIM.read_bytes()).hexdigest() == SHIM_SHA256
