"""Front matter of Markdown files: a small, strict part of YAML.

`key: scalar`, `key: "quoted"`, `key: [a, b]`, or `key:` with `- item` lines. Anything else is an error with its
line: YAML's surprises (`no` is false, 3.10 is 3.1, anchors, tags) have no place in front of a procedure.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final

from kb.errors import KnowledgeError

FENCE: Final = "---"
LINES_MAX: Final = 200
KEYS: Final = frozenset(
    {"doc_id", "kind", "title", "assets", "revision", "effective_from", "effective_to", "recorded_at"}
)
# Kept in the file for its readers; nothing here depends on them.
KEYS_IGNORED: Final = frozenset(
    {"approved_by", "author", "channels", "date", "language", "owner", "sensors", "source", "tags"}
)

_KEY: Final = re.compile(r"([A-Za-z_][\w-]*):(?:[ \t]+(.*))?$")
_ITEM: Final = re.compile(r"[ \t]+-[ \t]+(.+)$|-[ \t]+(.+)$")


class FrontMatterError(KnowledgeError):
    """Front matter that is not understood, at `line` (1 is the file's first)."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """What stands in front of a text. A value is a scalar or a list; `body` is where the text begins."""

    values: dict[str, str | tuple[str, ...]]
    lines: dict[str, int]
    body: int

    def scalar(self, key: str, default: str = "") -> str:
        """One value. Raises FrontMatterError when the file gives a list."""
        value = self.values.get(key, default)
        if isinstance(value, str):
            return value
        raise FrontMatterError(f"{key} is one value, not a list", line=self.lines[key])

    def items(self, key: str) -> tuple[str, ...] | None:
        """A list, or one value as a list of one; None when the key is absent."""
        value = self.values.get(key)
        if value is None or isinstance(value, tuple):
            return value
        return (value,) if value else ()


def read_front_matter(text: str) -> FrontMatter:
    """Read what stands between the first two `---` lines; nothing when the first line is another.

    Raises FrontMatterError for everything that is not understood, unknown keys included.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return FrontMatter(values={}, lines={}, body=0)
    end = next((i for i, line in enumerate(lines[:LINES_MAX]) if i and line.rstrip() == FENCE), 0)
    if not end:
        message = f"front matter has no closing {FENCE} line within {LINES_MAX} lines"
        raise FrontMatterError(message, line=1)
    values: dict[str, str | tuple[str, ...]] = {}
    places: dict[str, int] = {}
    open_list = ""
    for number, line in enumerate(lines[1:end], start=2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        item = _ITEM.match(line)
        if item and open_list:
            held = values[open_list]
            assert isinstance(held, tuple)
            values[open_list] = (*held, _scalar(item.group(1) or item.group(2), number))
            continue
        key, value = _pair(line, number, places)
        open_list = "" if value is not None else key
        values[key] = _value(value, number)
        places[key] = number
    body = min(len(text), sum(len(line) + 1 for line in lines[: end + 1]))
    return FrontMatter(values=values, lines=places, body=body)


def _pair(line: str, number: int, seen: dict[str, int]) -> tuple[str, str | None]:
    match = _KEY.match(line)
    if not match:
        raise FrontMatterError(f"{line.strip()[:60]!r} is not 'key: value'", line=number)
    key, value = match.group(1), (match.group(2) or "").strip()
    if key in seen:
        raise FrontMatterError(f"{key} stands here and in line {seen[key]}", line=number)
    if key not in KEYS | KEYS_IGNORED:
        near = difflib.get_close_matches(key, sorted(KEYS | KEYS_IGNORED), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(KEYS))}"
        raise FrontMatterError(f"unknown key {key}; {hint}", line=number)
    return key, value or None


def _value(value: str | None, number: int) -> str | tuple[str, ...]:
    if value is None:
        return ()
    if not value.startswith("["):
        return _scalar(value, number)
    if not value.endswith("]"):
        raise FrontMatterError("a list in brackets ends with ] on its line", line=number)
    inner = value[1:-1].strip()
    if inner and ("[" in inner or "]" in inner):
        raise FrontMatterError("lists within lists are not read", line=number)
    return tuple(_scalar(part, number) for part in inner.split(",")) if inner else ()


def _scalar(value: str, number: int) -> str:
    text = value.strip()
    if text[:1] in {'"', "'"}:
        if len(text) < 2 or text[-1] != text[0] or text[0] in text[1:-1] or "\\" in text:
            raise FrontMatterError(f"{text[:60]} is not a plain quoted value", line=number)
        return text[1:-1]
    if not text or text[0] in "&*!|>{}%@`" or ": " in text or " #" in text:
        message = f"{text[:60]!r} is not a plain value; put it in double quotes"
        raise FrontMatterError(message, line=number)
    return text
