"""CSV tables of assets and tags that a configuration includes."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from edge.configuration.rationale_table import rationalised
from edge.configuration.words import hint
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_TAG_COLUMNS: Final = ("asset", "tag", "channel", "unit")
_NUMBERS: Final = ("respond_min", "severity")  # columns of the asset table
_LISTS: Final = ("on_change", "safety", "utilities")
_ASSET_COLUMNS: Final = (
    *("id", "template", "functional_location", "area", "position", "consequence", "action"),
    "cause",
    *_NUMBERS,
    *_LISTS,
)


def include(data: dict[str, Any], path: Path, *, need_alarms: bool = True) -> dict[str, str]:
    """Add the assets and tags of CSV tables. Raises ConfigError naming table, line and column.

    Returns where a table says which template an asset has, by its id. need_alarms: whether the
    table of alarms has to be there.
    """
    named, named_at = data.get("include"), dict[str, str]()
    if not isinstance(named, dict):
        return named_at
    assets = _listed_assets(data, path)
    for where, row in _rows(path, named.get("assets"), needed=("id",), known=_ASSET_COLUMNS):
        asset = assets.setdefault(row["id"], {"id": row["id"]})
        for key, text in row.items():
            if key != "id" and text:
                asset[key] = _cell(text, key=key, where=where)
        if row.get("template"):
            named_at[row["id"]] = f"{where}, column template"
    for _, row in _rows(path, named.get("tags"), needed=_TAG_COLUMNS[:3], known=_TAG_COLUMNS):
        asset = assets.setdefault(row["asset"], {"id": row["asset"]})
        _table(asset, "tags", path)[row["tag"]] = row["channel"]
        if row.get("unit"):
            _table(asset, "units", path)[row["tag"]] = row["unit"]
    rationalised(data, assets, path, needed=need_alarms)
    data["asset"] = list(assets.values())
    return named_at


def _listed_assets(data: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """The assets that the file itself lists, by id."""
    assets: dict[str, dict[str, Any]] = {}
    listed = data.get("asset", [])
    if not isinstance(listed, list):
        raise ConfigError(f"{path}: asset is not a list; expected [[asset]]")
    for asset in listed:
        if not isinstance(asset, dict) or not isinstance(asset.get("id"), str):
            raise ConfigError(f"{path}: every [[asset]] needs an id")
        if asset["id"] in assets:
            raise ConfigError(f"{path}: asset id {asset['id']!r} comes twice")
        assets[asset["id"]] = asset
    return assets


def _table(asset: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """The tags or units of an asset, begun where it lists none. Raises ConfigError."""
    found = asset.setdefault(key, {})
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path}: {key} of asset {asset['id']!r} is {found!r:.80}; expected"
            f' {{ "Tag 1" = "..." }}, or the table of tags in [include]'
        )
    return found


def _cell(text: str, *, key: str, where: str) -> object:
    """A cell of an asset table: a whole number or a list cut at ; where the key wants one."""
    if key in _LISTS:
        return [part.strip() for part in text.split(";") if part.strip()]
    if key not in _NUMBERS:
        return text
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {key} is {text!r}, expected a whole number") from error


def _rows(
    path: Path, name: object, *, needed: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of an included table with where they stand. Raises ConfigError."""
    if not isinstance(name, str) or not name:
        return
    table = path.parent / name
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:  # a path may hold what no path can
        raise ConfigError(f"{table}: cannot be read: {error}; [include] names it") from error
    for column in columns:
        if column not in known:
            raise ConfigError(f"{table}: unknown column {column!r}{hint(column, known)}")
    for column in needed:
        if column not in columns:
            raise ConfigError(f"{table}: no column {column!r}; it has {', '.join(columns)}")
    for line, row in rows:
        where = f"{table}, line {line}"
        if None in row or None in row.values():
            raise ConfigError(f"{where}: expected {len(columns)} cells")
        empty = [column for column in needed if not row[column].strip()]
        if empty:
            raise ConfigError(f"{where}: {empty[0]} is empty")
        yield where, {key: text.strip() for key, text in row.items()}
