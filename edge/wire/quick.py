"""Payloads of a form that was seen before, read without a dictionary: the usual message.

    {"ts": 1760000000123, "tag": "Pressure", "value": 3.1}
    {"ts": 1760000000123, "Pressure": 3.1, "Feed": 2.9}      with the very keys of one before

A form knows its keys and that its values are numbers or null. What does not fit it exactly is for
`edge.wire.readings`, which says what it means: None here is no error. What is read here is, to the
bit, what it would read there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from edge.caps import TAG_CHARS_MAX
from edge.errors import UNREADABLE, WireError
from edge.wire.readings import ASIDE, BAD, T_NS_MAX, TIME_KEYS, read_time

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES_MAX: Final = 1 << 16  # of a payload that is read here; a larger one has work enough
KEYS_MAX: Final = 256  # of a form
FORMS_MAX: Final = 1024  # that are known at a time, of all topics; 6 MB with eight keys each
STRANGE_MIN: Final = 256  # messages of unknown forms before one more is made instead of another
MILLISECOND_NS: Final = 1_000_000
# Numbers that are milliseconds: from 1973 on, as long as times are taken at all.
MS_MIN, MS_MAX = 10**11, T_NS_MAX // MILLISECOND_NS + 1
_ANY: Final = msgspec.json.Decoder()
_NUMBER: Final = float | bool | None
_STAMP: Final = int | float | str
_WORD: Final = str | bool | None


class Form(NamedTuple):
    """One set of keys. tags: of a wide message; () of a single one.

    decode: bytes to a struct of tag and value, or of a value for each of `tags`; behind them time
    and quality, where they are told.
    """

    keys: frozenset[str]
    tags: tuple[str, ...]
    single: bool
    timed: bool
    quality: bool
    decode: Callable[[bytes], msgspec.Struct]


class Quick(NamedTuple):
    """One message. t_ns: None: it shows no time of its own."""

    tags: tuple[str, ...]
    values: tuple[float | None, ...]
    t_ns: int | None


class Forms:
    """Forms that were seen, for all topics."""

    def __init__(self) -> None:
        self._known: dict[frozenset[str], Form] = {}
        self.dropped = 0  # forms that others may still hold
        self._strange = 0  # messages of other forms, since there is no room

    def of(self, payload: bytes) -> Form | None:
        """The form of a payload; None: it is none that is read here."""
        if len(payload) > BYTES_MAX or (b'"v"' in payload and b'"tags"' in payload):
            return None
        try:
            body = _ANY.decode(payload)
        except UNREADABLE:
            return None
        if not isinstance(body, dict) or len(body) > KEYS_MAX or {"v", "tags"} <= body.keys():
            return None
        keys = frozenset(body)
        form = self._known.get(keys)
        return self._made(keys) if form is None else form

    def _made(self, keys: frozenset[str]) -> Form | None:
        """A form that was not known; not each time, where keys change without end: it costs."""
        if len(self._known) >= FORMS_MAX:
            self._strange += 1
            if self._strange < STRANGE_MIN:
                return None
            self._strange = 0
            del self._known[next(iter(self._known))]
            self.dropped += 1
        form = _form(keys)
        if form is not None:
            self._known[keys] = form
        return form


def _form(keys: frozenset[str]) -> Form | None:
    """The form of these keys; None where some say more than is read here."""
    if keys & {"unit", "units"}:
        return None
    time_key = next((key for key in TIME_KEYS if key in keys), None)
    single = {"tag", "value"} <= keys
    tags = () if single else tuple(sorted(keys - ASIDE - {time_key}))
    if not all(0 < len(tag) <= TAG_CHARS_MAX for tag in tags):
        return None
    kinds: dict[str, object] = (
        {"tag": str, "value": _NUMBER} if single else dict.fromkeys(tags, _NUMBER)
    )
    if time_key is not None:
        kinds[time_key] = _STAMP
    if "quality" in keys:
        kinds["quality"] = _WORD
    kinds |= {key: Any for key in sorted(keys) if key not in kinds}  # nobody asks what they say
    names = {f"f{i}": key for i, key in enumerate(kinds)}
    fields = [(name, kinds[key]) for name, key in names.items()]
    try:
        kind = msgspec.defstruct("Form", fields, rename=names, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a key that JSON has to escape
        return None
    decode = msgspec.json.Decoder(kind).decode
    return Form(keys, tags, single, time_key is not None, "quality" in keys, decode)


def read(payload: bytes, form: Form, *, topic: str) -> Quick | None:
    """One message of a form; None: it does not fit."""
    if len(payload) > BYTES_MAX:
        return None
    try:
        found: tuple[Any, ...] = msgspec.structs.astuple(form.decode(payload))
        tags, behind = form.tags, len(form.tags)
        if form.single:
            tags, behind = found[:1], 2
            if not 0 < len(found[0]) <= TAG_CHARS_MAX:
                return None
        values = found[behind - len(tags) : behind]
        t_ns = None
        if form.timed:
            stamp = found[behind]
            if type(stamp) is int and MS_MIN <= stamp < MS_MAX:
                t_ns = stamp * MILLISECOND_NS
            else:
                t_ns = read_time(stamp, topic=topic)
            behind += 1
    except (*UNREADABLE, WireError):
        return None
    if form.quality and _is_bad(found[behind]):
        return None
    return Quick(tags, values, t_ns)


def _is_bad(quality: object) -> bool:
    return quality is False or (isinstance(quality, str) and quality.casefold().startswith(BAD))
