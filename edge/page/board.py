"""Rows by key with a version each: what changed since any version is known without a log of it.

A reader that was away, or is slow, is told each row once, as it stands now, however often it
changed meanwhile. Nothing here knows what a row means.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

GONE_MAX: Final = 20_000  # removed keys that are remembered; whoever was away longer gets all


class Changes(NamedTuple):
    """What a reader is to be told. whole: forget everything else. Rows are JSON by key."""

    version: int
    whole: bool
    rows: dict[str, bytes]
    gone: tuple[str, ...]

    @property
    def some(self) -> bool:
        """Whether there is anything to tell."""
        return self.whole or bool(self.rows or self.gone)

    def encoded(self) -> bytes:
        """As JSON: rows are put in as they are."""
        rows = b",".join(_text(key) + b":" + body for key, body in self.rows.items())
        gone = b",".join(_text(key) for key in self.gone)
        return b'{"rows":{' + rows + b'},"gone":[' + gone + b"]}"


class Board:
    """Rows, newest change last."""

    def __init__(self) -> None:
        self.version = 0
        self._rows: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._told_since = 0  # removals after this version are remembered

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> dict[str, bytes]:
        """Every row by key, in no order that means anything."""
        return {key: body for key, (_, body) in self._rows.items()}

    def put(self, key: str, body: bytes) -> None:
        """Show a row; the same bytes again change nothing."""
        stands = self._rows.get(key)
        if stands is not None and stands[1] == body:
            return
        self.version += 1
        self._gone.pop(key, None)
        self._rows[key] = (self.version, body)
        self._rows.move_to_end(key)

    def remove(self, key: str) -> None:
        """Show a row no more; one that is not there stays away."""
        if self._rows.pop(key, None) is None:
            return
        self.version += 1
        self._gone[key] = self.version
        self._gone.move_to_end(key)
        while len(self._gone) > GONE_MAX:
            self._told_since = self._gone.popitem(last=False)[1]

    def since(self, version: int | None) -> Changes:
        """What has changed after a version. None, or one that is not known any more: everything."""
        if version is None or not self._told_since <= version <= self.version:
            return Changes(self.version, whole=True, rows=self.rows(), gone=())
        rows: dict[str, bytes] = {}
        for key in reversed(self._rows):
            changed, body = self._rows[key]
            if changed <= version:
                break
            rows[key] = body
        gone: list[str] = []
        for key in reversed(self._gone):
            if self._gone[key] <= version:
                break
            gone.append(key)
        return Changes(self.version, whole=False, rows=rows, gone=tuple(gone))


def _text(key: str) -> bytes:
    # keys hold ids of assets, which may hold quotes
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return b'"' + escaped.encode("utf-8", "surrogatepass") + b'"'
