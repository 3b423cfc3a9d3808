"""Configuration: one strict TOML file, optional CSV tables, environment overrides; secrets from files only.

An unknown key is an error that names the nearest known one. Relative paths are relative to the file.
`ANDON__MQTT__PORT=1884` overrides `[mqtt] port`.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.errors import ConfigError
from edge.settings import AssetSettings, EngineSettings, GatewaySettings, Source
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT: Final = "ANDON__"


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plant's broker."""

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str = "andon"
    username: str = ""
    password_file: str = ""
    keepalive_s: int = 30
    queue_messages_max: int = 100_000
    tls_ca_file: str = ""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The detector."""

    bundle: str


class KbConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knowledge base; without a snapshot nothing is ever suppressed."""

    snapshot: str = ""


class JournalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journal, outbox and checkpoints: what must survive."""

    dir: str = "state"
    sync_s: float = 5.0
    strict: bool = False
    bytes_max: int = 2 << 30
    days_max: int = 30
    checkpoint_s: float = 10.0


class IncludeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CSV tables: assets (columns as [[asset]] keys) and tags (asset, tag, channel, unit)."""

    assets: str = ""
    tags: str = ""


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    site: str
    prefix: str = "andon"
    clock: str = "wall"
    mqtt: MqttConfig = MqttConfig()
    model: ModelConfig
    kb: KbConfig = KbConfig()
    journal: JournalConfig = JournalConfig()
    include: IncludeConfig = IncludeConfig()
    engine: EngineSettings = EngineSettings()
    source: tuple[Source, ...] = (Source(),)
    asset: tuple[AssetSettings, ...] = ()
    base: str = "."  # directory of the file; set on loading

    @property
    def settings(self) -> GatewaySettings:
        """What the core reads."""
        return GatewaySettings(
            site=self.site,
            prefix=self.prefix,
            clock=self.clock,
            engine=self.engine,
            source=self.source,
            asset=self.asset,
        )

    def path(self, relative: str) -> Path:
        """A path of the configuration, resolved against its directory."""
        return Path(self.base) / relative


def load(path: Path, *, environment: Mapping[str, str] = os.environ) -> GatewayConfig:
    """Read a configuration file. Raises ConfigError naming file, key and what was expected."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _override(data, environment)
    data["base"] = str(path.parent)
    _include(data, path)
    try:
        config = msgspec.convert(data, GatewayConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}") from error
    _check(config, path)
    return config


def effective(config: GatewayConfig) -> str:
    """The configuration as it counts, defaults included, as JSON. Secrets are file names only, never values."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2).decode()


def password(config: MqttConfig, base: Path) -> str | None:
    """The broker password from its file. Raises ConfigError."""
    if not config.password_file:
        return None
    path = base / config.password_file
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; [mqtt] password_file names it") from error


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    """ANDON__SECTION__KEY=value; a value that reads as TOML is taken as such, anything else as text."""
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT):
            continue
        *sections, key = name.removeprefix(ENVIRONMENT).lower().split("__")
        table = data
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {section} is not a table")
        try:
            table[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            table[key] = text


def _include(data: dict[str, Any], path: Path) -> None:
    include = data.get("include")
    if not isinstance(include, dict):
        return
    assets = {asset.get("id"): asset for asset in data.setdefault("asset", [])}
    for row in _rows(path, include.get("assets")):
        asset = assets.setdefault(row["id"], {"id": row["id"]})
        for key, value in row.items():
            if key != "id" and value:
                asset[key] = int(value) if value.isdigit() else value
    for row in _rows(path, include.get("tags")):
        asset = assets.setdefault(row["asset"], {"id": row["asset"]})
        asset.setdefault("tags", {})[row["tag"]] = row["channel"]
        if row.get("unit"):
            asset.setdefault("units", {})[row["tag"]] = row["unit"]
    data["asset"] = list(assets.values())


def _rows(path: Path, name: object) -> list[dict[str, str]]:
    if not isinstance(name, str) or not name:
        return []
    table = path.parent / name
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{table}: cannot be read: {error}; [include] names it") from error


def _check(config: GatewayConfig, path: Path) -> None:
    if config.clock not in ("wall", "plant"):
        raise ConfigError(f"{path}: clock is {config.clock!r}, expected wall or plant")
    for text, key in ((config.site, "site"), (config.prefix, "prefix")):
        if not is_asset_id(text):
            raise ConfigError(f"{path}: {key} is {text!r}, expected a name without / + #")
    seen: set[str] = set()
    for asset in config.asset:
        if not is_asset_id(asset.id) or asset.id in seen:
            raise ConfigError(f"{path}: asset id {asset.id!r} is not usable or comes twice")
        seen.add(asset.id)
        for tag in asset.context:
            if tag.role not in ("run", "witness", "info"):
                raise ConfigError(
                    f"{path}: asset {asset.id}, context tag {tag.tag}: role is {tag.role!r}, "
                    "expected run, witness or info"
                )
            if tag.role == "witness" and tag.kind is None:
                raise ConfigError(
                    f"{path}: asset {asset.id}, context tag {tag.tag}: a witness needs the kind of work it opens"
                )


def _known_keys() -> set[str]:
    kinds: list[type[msgspec.Struct]] = [
        GatewayConfig,
        MqttConfig,
        ModelConfig,
        KbConfig,
        JournalConfig,
        IncludeConfig,
        EngineSettings,
        Source,
        AssetSettings,
    ]
    return {field for kind in kinds for field in kind.__struct_fields__}


def _explain(message: str) -> str:
    """msgspec's message, with the nearest known key where one is unknown."""
    unknown = re.search(r"unknown field `(\w+)`", message)
    if unknown is None:
        return message
    near = difflib.get_close_matches(unknown.group(1), sorted(_known_keys()), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{message}{hint}"
