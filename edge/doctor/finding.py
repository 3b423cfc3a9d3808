"""What a look at an installation has found, and in which order people should read it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How bad it is, worst first."""

    WRONG = "wrong"  # something that should work does not
    SOON = "soon"  # it works, and will not for long
    NOTE = "note"  # good to know
    FINE = "fine"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. do: what to do about it, "" where nothing is needed."""

    level: Level
    what: str
    found: str
    do: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, worst first. file: the configuration, "" without one."""

    file: str
    ts_ms: int
    wrong: int
    soon: int
    findings: tuple[Finding, ...]


def page_of(findings: Iterable[Finding], *, file: str, ts_ms: int) -> Page:
    """Findings in the order to be read; within a level as they were found."""
    order = list(Level)
    listed = sorted(findings, key=lambda one: order.index(one.level))
    return Page(
        file=file,
        ts_ms=ts_ms,
        wrong=sum(one.level is Level.WRONG for one in listed),
        soon=sum(one.level is Level.SOON for one in listed),
        findings=tuple(listed),
    )
