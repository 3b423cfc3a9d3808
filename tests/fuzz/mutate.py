"""Mutations: of bytes, of trees as JSON or msgpack write them, of lines of text."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import random

    from tests.fuzz.target import Mutate

INPUT_BYTES_MAX: Final = 1 << 16  # of a mutated input, unless it is meant to be long
LONG: Final = 300_000  # characters of what is meant to be long
ROUNDS: Final = (1, 1, 1, 2, 3, 5)
INTEGERS: Final = (
    0, 1, -1, 2, 127, 128, 255, 256, 32_767, 65_535, 2**31 - 1, 2**31, 2**32, 2**53 + 1,
    2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), -(2**63) - 1, 10**18, 10**19, 10**25,
    1_760_000_000, 1_760_000_000_000, 9_000_000_000, 253_402_300_800, 4_300,
)  # fmt: skip
FLOATS: Final = (
    0.0, -0.0, 0.5, -1.5, 1e-320, 1e-300, 1e17, 1e22, 1e300, 1.7976931348623157e308, 1e-9,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "\u200b", "\U0001f600", "\ufeff",
    "e\u0301", "..", "../../etc/passwd", "/dev/zero", "a/b", "+", "#", "$SYS", "_gateway",
    "{asset}",
    "{", "%s", "%n", "${x}", "=1+1", "'", '"', "\\", "\n", "\r\n", "\t", "nan", "NaN", "-inf",
    "1e999",
    "0x10", "1_000", "true", "null", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "2026-01-01", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "10000-01-01T00:00:00Z",
    "2025-10-09T08:53:20.1234567Z", "Europe/Berlin", "No/Where", "x" * 65, "y" * 501,
    "\u0661\u0662",
)  # fmt: skip
# What JSON may hold and no library writes.
RAW: Final = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "0.0e0", "1" * 400,
    "1" * 5000, "-" + "9" * 30, "[" * 40 + "]" * 40, "[" * 1200 + "]" * 1200, '{"a":' * 1100 + "1" +
    "}" * 1100, '"\\ud800"', '"\\ud800\\u0041"', '"\\u0000"', "[1,]", "tru", '"', "{}", "[]",
    "[[]]",
    "[null]", '[["a"]]', '{"":""}', "0." + "1" * 400, '"' + "z" * 5000 + '"',
)  # fmt: skip
DELIMITERS: Final = b",;|\t \"'\n\r=:[]{}()#<>/\\&%+-._0123456789\0\xff\x80"


def one_of(chance: random.Random, *ways: Mutate) -> Mutate:
    """One of several ways."""
    return ways[int(chance.random() * len(ways))]


# --- bytes -------------------------------------------------------------------------------------


def mutate_bytes(chance: random.Random, data: bytes) -> bytes:
    """A few changes that know nothing of what the bytes mean."""
    held = bytearray(data)
    for _ in range(ROUNDS[int(chance.random() * len(ROUNDS))]):
        _BYTE_WAYS[int(chance.random() * len(_BYTE_WAYS))](chance, held)
    return bytes(held[:INPUT_BYTES_MAX]) if len(data) < INPUT_BYTES_MAX else bytes(held)


def _at(chance: random.Random, held: bytearray) -> int:
    return int(chance.random() * (len(held) + 1))


def _flip(chance: random.Random, held: bytearray) -> None:
    if held:
        held[int(chance.random() * len(held))] ^= 1 << int(chance.random() * 8)


def _set(chance: random.Random, held: bytearray) -> None:
    if held:
        held[int(chance.random() * len(held))] = int(chance.random() * 256)


def _insert(chance: random.Random, held: bytearray) -> None:
    at = _at(chance, held)
    held[at:at] = bytes(DELIMITERS[int(chance.random() * len(DELIMITERS))] for _ in range(3))


def _noise(chance: random.Random, held: bytearray) -> None:
    at = _at(chance, held)
    held[at:at] = chance.randbytes(1 + int(chance.random() * 16))


def _delete(chance: random.Random, held: bytearray) -> None:
    at = _at(chance, held)
    del held[at : at + 1 + int(chance.random() ** 3 * 64)]


def _truncate(chance: random.Random, held: bytearray) -> None:
    del held[_at(chance, held) :]


def _repeat(chance: random.Random, held: bytearray) -> None:
    at = _at(chance, held)
    part = held[at : at + 1 + int(chance.random() * 32)]
    held[at:at] = part * (1 + int(chance.random() ** 4 * 300))


def _splice(chance: random.Random, held: bytearray) -> None:
    a, b = _at(chance, held), _at(chance, held)
    held[a:a] = held[b : b + 64]


def _number(chance: random.Random, held: bytearray) -> None:
    """A number of some width, such as a length or a count, in either order of bytes."""
    form = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q", "<d", "<f")[int(chance.random() * 9)]
    size = struct.calcsize(form)
    if len(held) < size:
        return
    at = int(chance.random() * (len(held) - size + 1))
    if form[1] in "df":
        number = FLOATS[int(chance.random() * len(FLOATS))]
        struct.pack_into(form, held, at, number if form[1] == "d" or abs(number) < 1e38 else 0.5)
        return
    value = INTEGERS[int(chance.random() * len(INTEGERS))]
    struct.pack_into(form, held, at, value % (1 << (8 * size)))


_BYTE_WAYS: Final = (
    _flip, _flip, _set, _insert, _noise, _delete, _truncate, _repeat, _splice, _number, _number,
)  # fmt: skip


# --- trees -------------------------------------------------------------------------------------


def leaf(chance: random.Random) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """A value that somebody forgot about."""
    way = chance.random()
    if way < 0.3:
        return INTEGERS[int(chance.random() * len(INTEGERS))]
    if way < 0.5:
        return FLOATS[int(chance.random() * len(FLOATS))]
    if way < 0.8:
        return TEXTS[int(chance.random() * len(TEXTS))]
    return (None, True, False, [], {}, [[]], [None], {"a": 1}, [1, 2], ["x"], [0.5])[
        int(chance.random() * 11)
    ]


class Raw(str):
    """Text that stands in the JSON as it is."""

    __slots__ = ()


def changed(chance: random.Random, tree: Any, *, raw: bool) -> Any:  # noqa: ANN401 - see leaf
    """The tree with one change somewhere; only what is on the way there is copied."""
    way = chance.random()
    if isinstance(tree, dict) and tree and way < 0.85:
        return _changed_table(chance, tree, raw=raw)
    if isinstance(tree, list) and tree and way < 0.8:
        return _changed_list(chance, tree, raw=raw)
    if isinstance(tree, str) and tree and way < 0.3:
        at = int(chance.random() * len(tree))
        return tree[:at] + TEXTS[int(chance.random() * len(TEXTS))] + tree[at + 1 :]
    if isinstance(tree, int | float) and way < 0.4:
        return (tree + 1, -tree, tree * 1000, str(tree), [tree], tree * 1e9)[
            int(chance.random() * 6)
        ]
    if raw and way > 0.9:
        return Raw(RAW[int(chance.random() * len(RAW))])
    return leaf(chance)


def _changed_table(chance: random.Random, tree: dict[Any, Any], *, raw: bool) -> dict[Any, Any]:
    keys = list(tree)
    key = keys[int(chance.random() * len(keys))]
    made = dict(tree)
    way = chance.random()
    if way < 0.7:
        made[key] = changed(chance, tree[key], raw=raw)
    elif way < 0.8:
        del made[key]
    elif way < 0.86:
        made[TEXTS[int(chance.random() * len(TEXTS))]] = leaf(chance)
    elif way < 0.92:
        made[keys[int(chance.random() * len(keys))]] = tree[key]
    elif way < 0.96:
        made[f"{key}x"] = made.pop(key)
    elif raw:  # the same key twice
        made[Raw(json.dumps(key))] = leaf(chance)
    return made


def _changed_list(chance: random.Random, tree: list[Any], *, raw: bool) -> list[Any]:
    at = int(chance.random() * len(tree))
    way = chance.random()
    if way < 0.7:
        return [*tree[:at], changed(chance, tree[at], raw=raw), *tree[at + 1 :]]
    if way < 0.8:
        return [*tree[:at], *tree[at + 1 :]]
    if way < 0.9:
        return [*tree[:at], tree[at], *tree[at:]]
    if way < 0.93:
        return tree * (2 + int(chance.random() ** 3 * 200)) if len(tree) < 50 else tree[::-1]
    return [*tree, leaf(chance)]


@lru_cache(maxsize=4096)
def _tree_of(data: bytes) -> Any:  # noqa: ANN401 - see leaf
    return json.loads(data)


def json_of(tree: Any) -> bytes:  # noqa: ANN401 - see leaf
    """JSON of a tree in which some texts stand as they are."""
    raws: list[str] = []
    text = json.dumps(_marked(tree, raws), separators=(",", ":"))
    for k, one in enumerate(raws):
        text = text.replace(f'"@@{k}@@"', one, 1)
    return text.encode("utf-8", "surrogatepass")


def _marked(tree: Any, raws: list[str]) -> Any:  # noqa: ANN401 - see leaf
    if isinstance(tree, Raw):
        raws.append(str(tree))
        return f"@@{len(raws) - 1}@@"
    if isinstance(tree, dict):
        return {_marked(key, raws): _marked(value, raws) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_marked(one, raws) for one in tree]
    return tree


def mutate_json(chance: random.Random, data: bytes) -> bytes:
    """JSON: mostly with some of its values changed, else other bytes."""
    way = chance.random()
    if way < 0.3:
        return mutate_bytes(chance, data)
    if way < 0.301:
        return long_json(chance)
    tree = _tree_of(data)
    for _ in range(ROUNDS[int(chance.random() * len(ROUNDS))]):
        tree = changed(chance, tree, raw=True)
    return json_of(tree)


def long_json(chance: random.Random) -> bytes:
    """Long or deep in one place, within what a broker passes."""
    part, close = (
        (b"[", b""), (b"[", b"]"), (b'{"a":', b""), (b"[[],", b""), (b"1", b""), (b"0.", b""),
        (b"1e", b""),
        (b'"\\ud800', b""), (b'{"ts":1,"x":2},', b""), (b"[1,2],", b""), (b'"aaaaaa",', b""),
        (b" ", b""),
        (b"\\", b""), (b"-", b""), (b'{"tags":["a"],"v":', b"}"),
    )[int(chance.random() * 15)]  # fmt: skip
    times = LONG // (len(part) + len(close))
    head = (b"", b"[", b'{"ts":', b'{"tags":["a"],"ts":[', b'{"x":"')[int(chance.random() * 5)]
    return head + part * times + close * times


def mutate_msgpack(chance: random.Random, data: bytes) -> bytes:
    """Msgpack: some of its values changed, or other bytes."""
    if chance.random() < 0.4:
        return mutate_bytes(chance, data)
    tree = msgspec.msgpack.decode(data)
    for _ in range(ROUNDS[int(chance.random() * len(ROUNDS))]):
        tree = changed(chance, tree, raw=False)
    try:
        return msgspec.msgpack.encode(tree)
    except (OverflowError, UnicodeEncodeError):  # what msgpack cannot say
        return mutate_bytes(chance, data)


# --- lines -------------------------------------------------------------------------------------


def mutate_text(chance: random.Random, data: bytes) -> bytes:
    """Text in lines, as tables, logs, TOML and calendars: lines, words and bytes."""
    way = chance.random()
    if way < 0.3:
        return mutate_bytes(chance, data)
    lines = data.split(b"\n")
    for _ in range(ROUNDS[int(chance.random() * len(ROUNDS))]):
        at = int(chance.random() * len(lines))
        way = chance.random()
        if way < 0.6:
            lines[at] = _changed_words(chance, lines[at])
        elif way < 0.7:
            del lines[at]
            lines = lines or [b""]
        elif way < 0.8:
            lines.insert(at, lines[int(chance.random() * len(lines))])
        elif way < 0.85:
            lines[at:at] = [lines[at]] * (1 + int(chance.random() ** 3 * 200))
        elif way < 0.9:
            other = int(chance.random() * len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = mutate_bytes(chance, lines[at])
    return b"\n".join(lines)


def _changed_words(chance: random.Random, line: bytes) -> bytes:
    mark = next(
        (m for m in (b",", b"\t", b"|", b";", b" = ", b": ", b":", b" ") if m in line), b" "
    )
    words = line.split(mark)
    at = int(chance.random() * len(words))
    words[at] = _word(chance)
    return mark.join(words)


def _word(chance: random.Random) -> bytes:
    way = chance.random()
    if way < 0.5:
        return TEXTS[int(chance.random() * len(TEXTS))].encode("utf-8", "surrogatepass")
    if way < 0.7:
        return str(INTEGERS[int(chance.random() * len(INTEGERS))]).encode()
    if way < 0.8:
        return str(FLOATS[int(chance.random() * len(FLOATS))]).encode()
    if way < 0.99:
        return RAW[int(chance.random() * len(RAW))].encode()
    return (b"[", b"{a=", b"(", b"9", b'"', b"<b>", b"a.", b"#", b"\\", b"-", b"*", b"|", b"> ")[
        int(chance.random() * 13)
    ] * 30_000


def mixed(*ways: Mutate) -> Mutate:
    """Now one way, now another."""

    def mutate(chance: random.Random, data: bytes) -> bytes:
        return one_of(chance, *ways)(chance, data)

    return mutate


def behind_line(inner: Mutate, *, heads: tuple[bytes, ...]) -> Mutate:
    """Of an input whose first line says where it came: mostly what is behind it is changed."""

    def mutate(chance: random.Random, data: bytes) -> bytes:
        head, _, body = data.partition(b"\n")
        way = chance.random()
        if way < 0.15:
            head = heads[int(chance.random() * len(heads))]
        elif way < 0.2:
            head = mutate_bytes(chance, head).replace(b"\n", b"")
        return head + b"\n" + (body if way > 0.98 else inner(chance, body))

    return mutate
