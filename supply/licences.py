"""`make licences`: the licence of every package of a gateway, against a list with reasons.

Exit code 0 when all are allowed, 1 for one that is not, or that nobody could read.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Final

from supply.locked import ROOT, Package, installed, pins, unlike

LIST: Final = ROOT / "supply" / "licences.toml"
_TOKEN: Final = re.compile(r"\(|\)|[^\s()]+")


def fits(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with these licences alone; "" cannot."""
    tokens = _TOKEN.findall(expression)
    try:
        met = _either(tokens, allowed)
    except IndexError:
        return False
    return met and not tokens


def _either(tokens: list[str], allowed: set[str]) -> bool:
    met = _both(tokens, allowed)
    while tokens and tokens[0].upper() == "OR":
        tokens.pop(0)
        met = _both(tokens, allowed) or met
    return met


def _both(tokens: list[str], allowed: set[str]) -> bool:
    met = _one(tokens, allowed)
    while tokens and tokens[0].upper() == "AND":
        tokens.pop(0)
        met = _one(tokens, allowed) and met
    return met


def _one(tokens: list[str], allowed: set[str]) -> bool:
    name = tokens.pop(0)
    if name == "(":
        met = _either(tokens, allowed)
        return tokens.pop(0) == ")" and met
    if tokens and tokens[0].upper() == "WITH":
        name = f"{name} WITH {tokens[1]}"
        del tokens[:2]
    return name in allowed


def judged(packages: list[Package], listed: dict[str, dict[str, str]]) -> list[str]:
    """What must not be shipped as it is, a line each."""
    allowed = set(listed["allowed"])
    told = []
    for package in packages:
        licence = package.licence or listed["read"].get(package.name, "")
        if not licence:
            told.append(f"{package.name} {package.version}: says nothing that can be read")
        elif not fits(licence, allowed):
            told.append(f"{package.name} {package.version}: {licence} is not in {LIST.name}")
    return told


def main(arguments: list[str] | None = None) -> int:
    """Print the report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv")
    environment = parser.parse_args(arguments).environment
    there, wanted = installed(environment), pins()
    strays = unlike(wanted, there)
    packages = [there[pin.name] for pin in wanted if pin.name in there]
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    for package in packages:
        licence = package.licence or listed["read"].get(package.name, "?")
        sys.stdout.write(f"{package.name:24} {package.version:14} {licence}\n")
    faults = strays + judged(packages, listed)
    for fault in faults:
        sys.stdout.write(f"FAULT {fault}\n")
    sys.stdout.write(f"{len(packages)} packages, {len(faults)} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
