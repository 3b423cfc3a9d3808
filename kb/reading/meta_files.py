"""What a page says about itself where it has no front matter: `pump.meta.toml` beside `pump.pdf`.

`meta.toml` speaks of all such documents of its folder, not of the subfolders; a document's own file
goes before it, key by key.
"""

from __future__ import annotations

import tomllib
from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from kb.errors import UNREADABLE
from kb.reading.front_matter import KINDS, FrontMatter, SourceError, is_asset_id
from kb.reading.stored import beside_bytes
from kb.times import date_or_iso_ns

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".meta.toml"
OF_FOLDER: Final = "meta.toml"
OWN_ALONE: Final = ("doc_id", "title", "revision")  # of one document: several cannot share them


class _Meta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of front matter, as TOML has them."""

    doc_id: str = ""
    kind: str = ""
    title: str = ""
    assets: tuple[str, ...] | None = None
    revision: str = ""
    effective_from: str = ""
    recorded_at: str = ""
    language: str = ""
    source: str = ""


def is_meta(path: Path) -> bool:
    """Whether a file speaks about documents and is none."""
    return path.name == OF_FOLDER or path.name.endswith(SUFFIX)


def meta_of(path: Path) -> FrontMatter:
    """What stands beside a document about it, defaults where nothing does. Raises SourceError."""
    own = _read(path.with_name(f"{path.stem}{SUFFIX}"))
    of_folder = _read(path.with_name(OF_FOLDER))
    told = {**of_folder, **own}
    shared = [key for key in OWN_ALONE if key in of_folder]
    if shared:
        raise SourceError(0, f"{OF_FOLDER}: {shared[0]} is of one document; name it in its own")
    return _typed(told) if told else FrontMatter()


def _read(place: Path) -> dict[str, object]:
    stored = beside_bytes(place)
    if stored is None:
        return {}
    try:
        stated = tomllib.loads(stored.decode())
        found = {k: str(v) if isinstance(v, date) else v for k, v in stated.items()}
        msgspec.convert(found, _Meta)
    except UNREADABLE as error:  # what TOML, its encoding and msgspec say
        raise SourceError(0, f"{place.name}: {error}") from error
    return found


def _typed(told: dict[str, object]) -> FrontMatter:
    meta = msgspec.convert(told, _Meta)
    kind = meta.kind or "manual"
    if kind not in KINDS:
        raise SourceError(0, f"meta: kind {kind!r} is none of {', '.join(KINDS)}")
    for asset in meta.assets or ():
        if not is_asset_id(asset):
            raise SourceError(0, f"meta: asset {asset!r} is no exact id")
    if meta.assets == ():
        raise SourceError(0, "meta: assets is empty; leave it out for site-wide")
    known_from_ns = 0
    for key in ("effective_from", "recorded_at"):
        at = getattr(meta, key)
        try:
            known_from_ns = max(known_from_ns, date_or_iso_ns(at) if at else 0)
        except ValueError as error:
            raise SourceError(0, f"meta: {key}: {error}") from error
    return FrontMatter(
        doc_id=meta.doc_id,
        kind=kind,
        title=meta.title,
        assets=meta.assets,
        revision=meta.revision,
        known_from_ns=known_from_ns,
        language=meta.language.lower()[:2],
    )
