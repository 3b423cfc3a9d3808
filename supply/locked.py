"""Locked requirements, and what of them is installed. Standard library only."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RUNTIME: Final = ROOT / "requirements" / "runtime.txt"
DEV: Final = ROOT / "requirements" / "dev.txt"
ARTIFACTS: Final = ROOT / "models" / "artifacts"
_PIN: Final = re.compile(
    # newer Pythons bring some of it themselves
    r'^([a-z0-9-]+)==([^\s;]+)(?: ; python_version < "3\.(\d+)")?'
    r"((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$",
    re.MULTILINE,
)
_CLASSIFIERS: Final = {  # where a package names no expression
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_WORDS: Final = {  # free text in the field `License`
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "PSFL": "PSF-2.0",
}
_EXPRESSION: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR) [A-Za-z0-9.+-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One locked package. hashes: sha256 of each of its files that may be installed.

    python_below: 14 where Python 3.14 and newer ones bring it themselves; 0: none does.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    python_below: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed one. licence: SPDX expression, "" where it does not say."""

    name: str
    version: str
    licence: str
    summary: str


def pins(lock: Path = RUNTIME) -> list[Pin]:
    """The packages of a lock, as they stand there."""
    text = lock.read_text(encoding="utf-8")
    return [
        Pin(
            name=name,
            version=version,
            hashes=tuple(re.findall(r"sha256:([0-9a-f]{64})", block)),
            python_below=int(below or 0),
        )
        for name, version, below, block in _PIN.findall(text)
    ]


def installed(environment: Path) -> dict[str, Package]:
    """Packages of a virtual environment by normal name."""
    folders = [str(path) for path in environment.glob("lib/python3.*/site-packages")]
    found = importlib.metadata.distributions(path=folders)
    return {package.name: package for package in map(_package, found)}


def unlike(wanted: list[Pin], there: dict[str, Package]) -> list[str]:
    """Where the environment is not what the lock says, a line each."""
    told = []
    for pin in wanted:
        package = there.get(pin.name)
        if package is None and 0 < pin.python_below <= sys.version_info.minor:
            continue
        if package is None:
            told.append(f"{pin.name}: {pin.version} is locked, and not installed")
        elif package.version != pin.version:
            told.append(f"{pin.name}: {pin.version} is locked, {package.version} is installed")
    return told


def _package(found: importlib.metadata.Distribution) -> Package:
    told = found.metadata
    name = re.sub(r"[-_.]+", "-", told["Name"]).lower()
    return Package(
        name=name,
        version=found.version,
        licence=licence_of(
            _field(told, "License-Expression"),
            _field(told, "License"),
            told.get_all("Classifier") or [],
        ),
        summary=_field(told, "Summary"),
    )


def _field(told: importlib.metadata.PackageMetadata, name: str) -> str:
    return told[name] or "" if name in told else ""


def licence_of(expression: str, text: str, classifiers: list[str]) -> str:
    """SPDX expression of what a package says of its licence; "" where nobody can tell.

    Several classifiers are a choice only where the package says so: all of them count.
    """
    if expression:
        return expression
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    named = [one.rpartition("::")[2].strip() for one in classifiers if one.startswith("License")]
    known = [_CLASSIFIERS[one] for one in named if one in _CLASSIFIERS]
    if text and _EXPRESSION.fullmatch(text) and text != "Dual":
        return text
    if len(known) == len(named) and known:
        return " AND ".join(sorted(set(known)))
    return ""
