"""Kepware: tags that KEPServerEX exports as CSV, from a device or a group of it.

The export names tags below the device that was exported, with groups before dots; the device
itself stands nowhere in it. Its IoT Gateway names a value CHANNEL.DEVICE.GROUPS.TAG.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.discovery.findings import FoundSource
from edge.errors import ConfigError
from edge.imports.tags import TAGS_MAX, Export, Level, Remark, Tag, fault_of, number_of, unit_of
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS: Final = {
    **dict.fromkeys(("float", "double"), False),
    **dict.fromkeys(
        ("char", "byte", "short", "word", "long", "dword", "llong", "qword", "bcd", "lbcd"), True
    ),
}  # data type, and whether it is whole
TEXTS: Final = {"string": "a text", "date": "a date", "default": "of the driver's own data type"}
_UNSCALED: Final = frozenset({"", "none", "0"})
_YES: Final = frozenset({"1", "true", "yes", "enable", "enabled"})


def decoded(content: bytes, *, name: str) -> str:
    """The text of an export: UTF-8 or UTF-16 by their marks, UTF-8 without, else Windows-1252.

    Raises ConfigError naming the file where it begins as UTF-16 and goes on as something else.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{name}, byte {error.start}: it begins as UTF-16 and goes on as something else,"
                " as a file that was cut does; export the tags again"
            ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_kepware(text: str, *, name: str, device: str, topic: str) -> Export:
    """Read an export. name: of the file; device: DEVICE or CHANNEL.DEVICE it was taken from.

    Raises ConfigError naming file and line.
    """
    device = device.rpartition(".")[2]
    tags: list[Tag] = []
    left_out: list[Remark] = []
    remarks: list[Remark] = []
    seen: dict[tuple[str, str], str] = {}
    for where, row, comma in _rows(text, name):
        if len(tags) + len(left_out) >= TAGS_MAX:
            raise ConfigError(f"{name}, {where}: more than {TAGS_MAX} tags; export single devices")
        full = row["tag name"]
        groups, _, leaf = full.rpartition(".")
        asset = f"{device}.{groups}" if groups else device
        why = _unusable(row, asset, leaf)
        if not why and (asset, leaf) in seen:
            why = f"its name comes twice, before at {seen[asset, leaf]}"
        if why:
            left_out.append(Remark(where=where, name=full, why=why))
            continue
        seen[asset, leaf] = where
        tags.append(_tag(row, where, asset=asset, leaf=leaf, comma=comma, remarks=remarks))
    source = FoundSource(
        topic=topic, asset="", form="kepware", asset_from="{place}", tag_from="{leaf}"
    )
    notes = (
        f"device {device} is as you told it: the export does not name it",
        f"the IoT Gateway has to publish these tags on {topic}, with its standard template",
    )
    return Export(
        product="Kepware",
        form="kepware",
        tags=tuple(tags),
        left_out=tuple(left_out),
        remarks=tuple(remarks),
        sources=(source,),
        notes=notes,
    )


def period_s(tags: tuple[Tag, ...]) -> float:
    """The commonest scan rate; a second where none is told."""
    rates = Counter(tag.period_ms for tag in tags if tag.period_ms > 0)
    most = max(rates.items(), key=lambda one: (one[1], one[0]), default=(1000.0, 0))[0]
    return min(max(most / 1000, 0.001), 86_400.0)


def _rows(text: str, name: str) -> Iterator[tuple[str, dict[str, str], bool]]:
    """Rows by their columns in lower case, each with its line and whether decimals have a comma."""
    if "\0" in text:
        raise ConfigError(f"{name}: it holds zero bytes and is no CSV; export the tags as CSV")
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower().replace(".", "") for cell in cells]
                lacking = [c for c in ("tag name", "data type") if c not in columns]
                if lacking or len(set(columns)) < len(columns):
                    raise ConfigError(
                        f"{name}, {where}: expected the header of a Kepware export, with columns"
                        f" such as Tag Name and Data Type each once; it has {', '.join(cells):.200}"
                    )
                continue
            if any(cell.strip() for cell in cells[len(columns) :]):
                raise ConfigError(
                    f"{name}, {where}: {len(cells)} cells, expected {len(columns)};"
                    " is a quote missing around a text?"
                )
            row = dict.fromkeys(columns, "")
            row |= {key: cell.strip() for key, cell in zip(columns, cells, strict=False)}
            at = columns.index("tag name")
            row["tag name"] = cells[at] if at < len(cells) else ""
            yield where, row, delimiter == ";"
    except csv.Error as error:
        raise ConfigError(
            f"{name}, line {reader.line_num}: {error}; is a quote left open?"
        ) from error
    if not columns:
        raise ConfigError(f"{name}: it is empty; expected the header of a Kepware export")


def _unusable(row: dict[str, str], asset: str, leaf: str) -> str:
    """Why a row is not taken; "": it is."""
    kind = row["data type"].lower()
    if "array" in kind or "[" in kind:
        return "an array is not one number"
    if kind in TEXTS:
        return TEXTS[kind]
    if kind not in NUMBERS and kind != "boolean":
        return f"its data type {row['data type']!r:.40} is not known"
    if row.get("client access", "").upper() in ("WO", "WRITE ONLY"):
        return "it can only be written"
    if not is_asset_id(asset) or asset.startswith("_"):
        return f"{asset!r:.80} cannot be the id of an asset"
    return fault_of(leaf)


def _tag(
    row: dict[str, str], where: str, *, asset: str, leaf: str, comma: bool, remarks: list[Remark]
) -> Tag:
    full = row["tag name"]
    kind = row["data type"].lower()
    scaled = row.get("scaling", "").lower() not in _UNSCALED
    levels = []
    for side in ("low", "high"):
        told = row.get(f"scaled {side}", "")
        if not scaled or not told or row.get(f"clamp {side}", "").lower() not in _YES:
            continue
        value = number_of(told.replace(",", ".") if comma else told)
        if value is None:
            why = f"Scaled {side.title()} is {told!r:.40}, and no number"
            remarks.append(Remark(where=where, name=full, why=why))
            continue
        why = f"Scaled {side.title()} {told}, at which the value is clamped"
        levels.append(Level(side=side, value=value, why=why, where=where, sure=0.3))
    if scaled and row.get("scaled data type", "").lower() in NUMBERS:
        kind = row["scaled data type"].lower()
    rate = row.get("scan rate", "")
    unit, fault = unit_of(row.get("eng units", ""))
    if fault:
        remarks.append(Remark(where=where, name=full, why=fault))
    return Tag(
        where=where,
        name=full,
        asset=asset,
        tag=leaf,
        unit=unit,
        binary=kind == "boolean",
        whole=NUMBERS.get(kind, False),
        period_ms=max(number_of(rate.replace(",", ".") if comma else rate) or 0.0, 0.0),
        levels=tuple(levels),
    )
