"""A run as a file, so that its page can be written again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.speed.run import Run

if TYPE_CHECKING:
    from pathlib import Path

MAYBE: Final = ("ratio", "figure", "values_per_s", "rss_mb")  # JSON has no NaN: null there


class _Rows(msgspec.Struct):
    """As much of it as is looked at before it is read."""

    figures: list[dict[str, Any]] = []
    peers: list[dict[str, Any]] | None = None


def keep(run: Run, path: Path) -> None:
    """Write a run. Raises OSError."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def kept(path: Path) -> Run:
    """A run that was written by `keep`. Raises OSError, msgspec.MsgspecError."""
    told = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    msgspec.convert(told, _Rows)
    for row in [*told.get("figures", ()), *(told.get("peers") or ())]:
        row |= {name: float("nan") for name in MAYBE if name in row and row[name] is None}
    return msgspec.convert(told, Run)
