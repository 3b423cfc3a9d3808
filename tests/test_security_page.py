"""Every line of the threat model is shown by a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| tries")
]
NAMED: Final = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_line_names_a_test_that_is_there(row: list[str]) -> None:
    """By file and function, so that whoever doubts it can run it."""
    assert len(row) == 3
    found = NAMED.findall(row[2])
    assert found, row[2]
    for file, test in found:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in names, f"{file} has no {test}"


def test_every_attacker_has_lines() -> None:
    """A heading without a table would be a promise without a proof."""
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        assert ("| tries" in body) == title.startswith("Whoever"), title


@pytest.mark.parametrize(
    "who", ["is on the sensor network", "can write documents", "has the broker"]
)
def test_who_could_try_it_first_is_there(who: str) -> None:
    """Each of these gets to a gateway without breaking anything."""
    assert f"\n## Whoever {who}\n" in PAGE
