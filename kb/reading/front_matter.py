"""Front matter of Markdown: `key: value` between two lines of `---`. A strict bit of YAML."""

from __future__ import annotations

import difflib
import re
from typing import Final

import msgspec

from kb.times import date_or_iso_ns

KINDS: Final = ("manual", "procedure", "policy", "schema")
KEYS: Final = (
    "doc_id", "kind", "title", "assets", "revision", "effective_from", "recorded_at", "language",
    "source",
)  # fmt: skip
ASSET_ID: Final = re.compile(r"[\w][\w.:/-]*")  # exact ids; no blanks, no wildcards
EVERYTHING: Final = frozenset(
    {"all", "any", "every", "each", "everything", "alle", "alles", "jeder", "jede"}
)  # words for no one in particular
_KEY: Final = re.compile(r"([a-z_]+):(?:\s+(.*))?")
_FENCE: Final = "---"


class SourceError(ValueError):
    """A text breaks a rule of its form. `line` counts from 1.

    Of a row of a table, `said` is its text, `order_id` the order it is surely about, "" if unsure,
    and `cells` what could be read of it.
    """

    def __init__(
        self,
        line: int,
        cause: str,
        *,
        said: str = "",
        order_id: str = "",
        cells: dict[str, str] | None = None,
    ) -> None:
        super().__init__(cause)
        self.line = line
        self.cause = cause
        self.said = said
        self.order_id = order_id
        self.cells = cells or {}


class FrontMatter(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says about itself, empty or 0 where nothing; body_start is an offset."""

    doc_id: str = ""
    kind: str = "manual"
    title: str = ""
    assets: tuple[str, ...] | None = None  # None: site-wide
    revision: str = ""
    known_from_ns: int = 0
    language: str = ""
    body_start: int = 0


def is_asset_id(text: str) -> bool:
    """Whether a text is one exact id: no wildcard, no list, no word for everything."""
    return bool(ASSET_ID.fullmatch(text)) and text.lower() not in EVERYTHING


def read_front_matter(text: str) -> FrontMatter:
    """Front matter of a text; defaults when there is none. Raises SourceError."""
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].rstrip() != _FENCE:
        return FrontMatter()
    found: dict[str, str] = {}
    where: dict[str, int] = {}
    body_start = len(lines[0])
    for number, line in enumerate(lines[1:], 2):
        body_start += len(line)
        if line.rstrip() == _FENCE:
            return _typed(found, where, body_start)
        key, value = _split(line.rstrip(), number)
        if key in found:
            raise SourceError(number, f"{key} is given twice")
        if key:
            found[key], where[key] = value, number
    raise SourceError(1, "front matter has no closing ---")


def _split(line: str, number: int) -> tuple[str, str]:
    """Key and raw value of one line; empty key for blank lines and comments."""
    if not line or line.startswith("#"):
        return "", ""
    match = _KEY.fullmatch(line)
    if not match:
        raise SourceError(number, f"expected `key: value`, found {line[:60]!r}")
    key = match[1]
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(KEYS)}"
        raise SourceError(number, f"unknown key {key}{hint}")
    return key, (match[2] or "").strip()


def _typed(found: dict[str, str], where: dict[str, int], body_start: int) -> FrontMatter:
    kind = _unquoted(found.get("kind", "manual"))
    if kind not in KINDS:
        raise SourceError(where["kind"], f"kind {kind!r} is none of {', '.join(KINDS)}")
    known_from_ns = 0
    for key in ("effective_from", "recorded_at"):
        if found.get(key):
            try:
                known_from_ns = max(known_from_ns, date_or_iso_ns(_unquoted(found[key])))
            except ValueError as error:
                raise SourceError(where[key], f"{key}: {error}") from error
    assets = None
    if "assets" in found:
        assets = _list(found["assets"], where["assets"])
    return FrontMatter(
        doc_id=_unquoted(found.get("doc_id", "")),
        kind=kind,
        title=_unquoted(found.get("title", "")),
        assets=assets,
        revision=_unquoted(found.get("revision", "")),
        known_from_ns=known_from_ns,
        language=_unquoted(found.get("language", "")).lower()[:2],
        body_start=body_start,
    )


def _list(value: str, number: int) -> tuple[str, ...]:
    if not (value.startswith("[") and value.endswith("]")):
        raise SourceError(number, "assets is a list: write [r1, r2]; leave it out for site-wide")
    assets = tuple(_unquoted(part.strip()) for part in value[1:-1].split(","))
    for asset in assets:
        if not is_asset_id(asset):
            raise SourceError(number, f"asset {asset!r} is no exact id")
    return assets


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
