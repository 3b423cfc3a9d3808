"""Causes: what assets share, so that many of them may fail at once.

A utility that they are fed from, a stretch of the line, an area; as the weakest the time alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FLOOD_ASSETS: Final = 10  # more of them are a flood
KINDS: Final = ("utility", "line", "area", "time")  # the strongest first
TIME: Final = ("time", "")

Cause = tuple[str, str]  # (kind, name)


def causes_of(
    assets: Iterable[tuple[str, Sequence[str], str, str]],
) -> dict[str, tuple[Cause, ...]]:
    """The causes that each asset may share with enough others to be a flood.

    assets: (id, utilities, functional location, area). A line is a beginning of the functional
    location, cut at its separators; of lines with the same assets only the longest counts.
    """
    found: dict[Cause, set[str]] = {}
    for asset, utilities, place, area in assets:
        causes: list[Cause] = [("utility", name) for name in utilities]
        causes += [("line", line) for line in _beginnings(place)]
        causes += [("area", area)] if area else []
        for cause in causes:
            found.setdefault(cause, set()).add(asset)
    found = {cause: of for cause, of in found.items() if len(of) > FLOOD_ASSETS}
    lines: dict[frozenset[str], str] = {}
    for (kind, name), of in found.items():
        if kind == "line" and len(name) > len(lines.get(frozenset(of), "")):
            lines[frozenset(of)] = name
    kept = [c for c, of in found.items() if c[0] != "line" or lines[frozenset(of)] == c[1]]
    known: dict[str, tuple[Cause, ...]] = {}
    for cause in sorted(kept, key=lambda c: (KINDS.index(c[0]), c[1])):
        for asset in found[cause]:
            known[asset] = (*known.get(asset, ()), cause)
    return known


def topic_of(cause: Cause) -> str:
    """A cause as one level of a topic, unlike that of any other cause."""
    kind, name = cause
    safe = "".join(
        c if c.isprintable() and c not in "%/+#" else "".join(f"%{b:02X}" for b in c.encode())
        for c in name
    )
    return f"{kind}-{safe}" if name else kind


def _beginnings(place: str) -> list[str]:
    cuts = [i for i, c in enumerate(place) if c in "-/." and i > 0]
    return [*(place[:i] for i in cuts), place] if place else []
