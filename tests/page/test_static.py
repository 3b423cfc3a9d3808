"""Files of the page: hashes of what is not ours, words in each language, no markup from text."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Final

import edge.page.app

STATIC: Final = Path(edge.page.app.__file__).parent / "static"
VENDORED: Final = STATIC / "vendor" / "uplot"
KEY: Final = re.compile(r'\bt\("([a-z_]+)"')
MARKUP: Final = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\("
)


def test_what_is_vendored_is_what_its_page_says() -> None:
    """Hashes stand in a table beside the files; nobody has changed them since."""
    rows = re.findall(
        r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", (VENDORED / "README.md").read_text("utf-8")
    )
    assert {name for name, _ in rows} == {"uPlot.iife.min.js", "uPlot.min.css"}
    for name, sha256 in rows:
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == sha256
    assert (VENDORED / "LICENSE").is_file()


def test_every_language_has_every_string_with_the_same_places() -> None:
    """A reader of German sees no English, and no name of a key."""
    english, *others = (
        json.loads((STATIC / "strings" / f"{name}.json").read_text("utf-8"))
        for name in ("en", "de")
    )
    for other in others:
        assert set(other) == set(english)
        for key, text in english.items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", other[key])), key
    code = "".join(file.read_text("utf-8") for file in (STATIC / "js").glob("*.js"))
    assert not {key for key in KEY.findall(code) if key not in english}


def test_no_module_makes_markup_of_text_and_none_is_long() -> None:
    """Text becomes text nodes, in one place; each module fits one reading."""
    for file in (STATIC / "js").glob("*.js"):
        text = file.read_text("utf-8")
        assert not MARKUP.search(text), file.name
        assert text.count("\n") <= 400, file.name
        assert "://" not in text, file.name
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|://", page)
