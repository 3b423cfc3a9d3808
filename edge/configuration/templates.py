"""Templates of assets: what many machines of a kind have in common, written once.

An asset names its template; what it says itself goes before what the template says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.configuration.words import hint
from edge.errors import ConfigError
from edge.settings import AssetSettings
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPLATES_MAX: Final = 1_000
ASSET: Final = "{asset}"  # in any text of a template: the id of the asset
_KEYS: Final = tuple(key for key in AssetSettings.__struct_fields__ if key != "id")
_JOINED: Final = ("tags", "units")  # tables: an asset changes single lines of them


def apply_templates(data: dict[str, Any], path: Path, named_at: Mapping[str, str]) -> None:
    """Fill in what assets leave to their templates, and take the templates away.

    named_at: by asset, where a table of assets named its template. Raises ConfigError.
    """
    templates = _templates(data, path)
    for number, asset in enumerate(_assets(data), 1):
        name = asset.pop("template", "")
        if name == "":
            continue
        if not isinstance(name, str) or name not in templates:
            where = named_at.get(str(asset.get("id")), f"{path}: [[asset]] {number}")
            known = hint(str(name), list(templates)) if templates else "; there is no [[template]]"
            raise ConfigError(f"{where}: template is {name!r}, which no [[template]] has{known}")
        _fill(asset, templates[name])


def _templates(data: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Templates by name, each checked once. Raises ConfigError."""
    listed = data.pop("template", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigError(f"{path}: template is {listed!r:.80}; expected [[template]]")
    if len(listed) > TEMPLATES_MAX:
        raise ConfigError(f"{path}: {len(listed)} templates, expected at most {TEMPLATES_MAX}")
    templates: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(listed, 1):
        where = f"{path}: [[template]] {number}"
        name = one.get("name")
        if not isinstance(name, str) or not name:
            raise ConfigError(f'{where}: no name; expected name = "..."')
        if name in templates:
            raise ConfigError(f"{where}: the name {name!r} comes twice")
        keys = {key: value for key, value in one.items() if key != "name"}
        for key in keys:
            if key not in _KEYS:
                raise ConfigError(f"{where} {name!r}: unknown key {key!r}{hint(key, _KEYS)}")
        try:
            msgspec.convert({**keys, "id": name}, AssetSettings)
        except (msgspec.ValidationError, ModelError) as error:
            said = re.sub(r"at `\$\.?([^`]*)`", r"at \1", str(error))
            raise ConfigError(f"{where} {name!r}: {said}") from error
        templates[name] = keys
    return templates


def _assets(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The assets that are tables; what else stands there is named when all is read."""
    listed = data.get("asset", [])
    return (one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict))


def _fill(asset: dict[str, Any], template: Mapping[str, Any]) -> None:
    """Add to an asset what it does not say itself."""
    own = {key: asset.get(key, {}) for key in _JOINED}
    said = {key: _with_id(value, str(asset.get("id", ""))) for key, value in template.items()}
    for key, value in said.items():
        if key not in asset:
            asset[key] = value
    if not all(isinstance(table, dict) for table in own.values()):
        return  # named when all is read
    # A channel that the asset gives another tag leaves the template's, with its unit.
    taken = set(own["tags"].values()) if own["tags"] else set()
    left = {tag for tag, channel in said.get("tags", {}).items() if channel in taken}
    for key in _JOINED:
        if key in said and own[key] is not None:
            kept = {t: v for t, v in said[key].items() if t not in left or t in own["tags"]}
            asset[key] = {**kept, **own[key]}


def _with_id(value: Any, asset: str) -> Any:  # noqa: ANN401 - any value that TOML has
    """A value of a template for one asset."""
    if isinstance(value, str):
        return value.replace(ASSET, asset)
    if isinstance(value, dict):
        return {_with_id(key, asset): _with_id(inner, asset) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_id(inner, asset) for inner in value]
    return value
