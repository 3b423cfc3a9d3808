"""What differs between two configurations of a gateway, and what of it a running one may take over.

What its state is made of, what it is on its broker, and where it keeps things needs a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.configuration.config import GatewayConfig

LINES_MAX: Final = 1_000  # of a difference that is shown
CHARS_MAX: Final = 80  # of a value
_NAMES: Final = ("id", "name", "tag", "topic", "file")  # by which members of a list are known
_ON_RESTART: Final = {
    "site": "topics and ids of alerts have it in them",
    "prefix": "topics and ids of alerts have it in them",
    "clock": "all times that are remembered are by it",
    "base": "relative paths would mean other files",
    "mqtt": "it says who and where the gateway is on its broker",
    "journal": "it says where and how the gateway keeps its state",
    "outbox": "it says how the gateway keeps its state",
    "audit": "the trail goes on where it began",
    "commissioning": "assets may begin to learn, or to ring for operators",
}


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """lines: each difference in words; on_restart: why some of them need a restart; () none do."""

    lines: tuple[str, ...]
    on_restart: tuple[str, ...]


def changes(before: GatewayConfig, after: GatewayConfig) -> Changes:
    """How a configuration differs from the one before."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    lines: list[str] = []
    reasons: list[str] = []
    for key in new:
        if old[key] == new[key]:
            continue
        lines += _differs(key, old[key], new[key])
        if key in _ON_RESTART:
            reasons.append(f"{key} changes: {_ON_RESTART[key]}")
    was, is_now = ({one.id: one.safety for one in config.asset} for config in (before, after))
    reasons += [
        f"safety of asset {asset} changes: open jobs were told what it hides"
        for asset in {**was, **is_now}
        if was.get(asset, ()) != is_now.get(asset, ())
    ]
    return Changes(lines=tuple(lines), on_restart=tuple(reasons))


def shown(found: Changes) -> list[str]:
    """The lines of a difference, as many as anybody reads."""
    left = len(found.lines) - LINES_MAX
    return [*found.lines[:LINES_MAX], *([f"... and {left} more"] if left > 0 else [])]


def _differs(where: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401 - whatever TOML has
    """Each difference of two values, with where it is."""
    before, after = _members(old), _members(new)
    if before is None or after is None:
        yield f"{where}: {_said(old)} -> {_said(new)}"
        return
    for key in {**before, **after}:
        place = f"{where} {key}"
        if key not in after:
            yield f"- {place}: {_said(before[key])}"
        elif key not in before:
            yield f"+ {place}: {_said(after[key])}"
        elif before[key] != after[key]:
            yield from _differs(place, before[key], after[key])


def _members(value: object) -> dict[str, Any] | None:
    """A table, or a list of tables by what names them; None of a plain value."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        return None
    for name in _NAMES:
        named = {str(one[name]): one for one in value if name in one}
        if len(named) == len(value):
            return named
    return None


def _said(value: object) -> str:
    if isinstance(value, dict):  # of an asset that has come, only what somebody said
        value = {key: inner for key, inner in value.items() if inner not in ("", [], (), {}, None)}
    said = str(msgspec.json.encode(value), "utf-8")
    return said if len(said) <= CHARS_MAX else f"{said[: CHARS_MAX - 3]}..."
