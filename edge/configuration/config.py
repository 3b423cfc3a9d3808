"""Configuration: one strict TOML file, optional CSV tables, environment overrides.

Secrets from files only.

An unknown key is an error that names the nearest known one. Relative paths are relative to the
file. `ANDON__MQTT__PORT=1884` overrides `[mqtt] port`.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.configuration.include import include
from edge.configuration.operator_settings import check_operators
from edge.configuration.output_settings import (
    OUTPUT_TABLES,
    OutputsConfig,
    check_node,
    check_outputs,
)
from edge.configuration.position_settings import with_positions
from edge.configuration.sections import (
    BrokerConfig,
    IncludeConfig,
    JournalConfig,
    KbConfig,
    ModelConfig,
    MqttConfig,
    OutboxConfig,
    PageConfig,
    ReportsConfig,
)
from edge.configuration.source_settings import check_sources
from edge.configuration.templates import apply_templates
from edge.configuration.trust_file import include_trust
from edge.configuration.words import hint, out_of_bounds
from edge.configuration.zones import check_zone
from edge.errors import UNREADABLE, ConfigError
from edge.samples.waveform_settings import Waveform, check_waveform
from edge.settings import (
    AssetSettings,
    CommissioningSettings,
    ContextTag,
    EngineSettings,
    GatewaySettings,
    Rationale,
    Source,
)
from edge.trust import AuditConfig, OperatorRights, TrustedKey, TrustSettings
from edge.wire.topics import is_asset_id
from models.errors import ModelError
from models.features.machine import Bearing, GearStage
from models.fitting.positions import OperatorPosition

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT: Final = "ANDON__"
BUNDLE_FILE: Final = "manifest.json"  # that every bundle has, whatever else is lost


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    site: str
    prefix: str = "andon"
    clock: str = "wall"
    mqtt: MqttConfig = MqttConfig()
    model: ModelConfig = ModelConfig()
    kb: KbConfig = KbConfig()
    journal: JournalConfig = JournalConfig()
    outbox: OutboxConfig = OutboxConfig()
    output: OutputsConfig = OutputsConfig()
    reports: ReportsConfig = ReportsConfig()
    audit: AuditConfig = AuditConfig()
    trust: TrustSettings = TrustSettings()
    page: PageConfig = PageConfig()
    include: IncludeConfig = IncludeConfig()
    engine: EngineSettings = EngineSettings()
    commissioning: CommissioningSettings | None = None
    source: tuple[Source, ...] = (Source(),)
    asset: tuple[AssetSettings, ...] = ()
    position: tuple[OperatorPosition, ...] = ()
    operator: tuple[OperatorRights, ...] = ()
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
            position=self.position,
            trust=self.trust,
            operator=self.operator,
            commissioning=self.commissioning,
            texts=bool(self.kb.source and self.kb.snapshot),
            texts_zone=self.kb.timezone,
        )

    def path(self, relative: str) -> Path:
        """A path of the configuration, resolved against its directory."""
        return Path(self.base) / relative


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    **OUTPUT_TABLES,
    "mqtt": MqttConfig,
    "output": BrokerConfig,
    "model": ModelConfig,
    "kb": KbConfig,
    "journal": JournalConfig,
    "outbox": OutboxConfig,
    "reports": ReportsConfig,
    "audit": AuditConfig,
    "commissioning": CommissioningSettings,
    "trust": TrustSettings,
    "key": TrustedKey,
    "include": IncludeConfig,
    "page": PageConfig,
    "engine": EngineSettings,
    "source": Source,
    "asset": AssetSettings,
    "position": OperatorPosition,
    "operator": OperatorRights,
    "context": ContextTag,
    "rationale": Rationale,
    "waveform": Waveform,
    "stages": GearStage,
    "bearings": Bearing,
}


def load(
    path: Path, *, environment: Mapping[str, str] = os.environ, need_alarms: bool = True
) -> GatewayConfig:
    """Read a configuration file. Raises ConfigError naming file, key and what was expected."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    overrides = _override(data, environment)
    if "base" in data:
        raise ConfigError(f"{path}: base is set by the program, to the directory of this file")
    data["base"] = str(path.parent)
    apply_templates(data, path, include(data, path, need_alarms=need_alarms))
    include_trust(data, path)
    try:
        config = msgspec.convert(data, GatewayConfig)
    except ModelError as error:  # a bearing that cannot be
        raise ConfigError(f"{path}: {error}") from error
    except msgspec.ValidationError as error:
        message = _explain(str(error), overrides)
        raise ConfigError(f"{path}: {message}") from error
    except UNREADABLE as error:  # a variable may hold bytes that are no text
        raise ConfigError(f"{path}: {error}; expected text in UTF-8") from error
    _check(config, path)
    config = with_positions(config, path)
    check_operators(config, path)
    if config.kb.embedder:
        _make_known(config.path(config.kb.embedder), path)
    return config


def _make_known(embedder: Path, path: Path) -> None:
    """From now on this process opens snapshots that were built with another text model."""
    from kb.errors import KnowledgeError  # noqa: PLC0415 - likewise
    from kb.retrieval.embed import make_known  # noqa: PLC0415 - loads what most configurations do not need

    try:
        make_known(embedder)
    except KnowledgeError as error:
        raise ConfigError(f"{path}: [kb] embedder: {error}") from error


def need_bundle(path: Path) -> Path:
    """The path of a bundle, or of what was one. Raises ConfigError where none was ever made."""
    if not (path / BUNDLE_FILE).is_file():
        raise ConfigError(f"{path} is no bundle; make one with `andon fit RECORDING -o {path}`")
    return path


def effective(config: GatewayConfig) -> str:
    """The configuration as it counts, defaults included, as JSON.

    Secrets are file names only, never values.
    """
    return msgspec.json.format(msgspec.json.encode(config), indent=2).decode()


def brokers(config: GatewayConfig) -> list[tuple[str, BrokerConfig]]:
    """The sections that name a broker, with them."""
    output = config.mqtt.output
    return [("[mqtt]", config.mqtt)] + ([] if output is None else [("[mqtt.output]", output)])


def password(config: BrokerConfig, base: Path) -> str | None:
    """The broker password from its file. Raises ConfigError."""
    if not config.password_file:
        return None
    return read_secret(base / config.password_file)


def read_secret(path: Path) -> str:
    """A secret from its file, without the end of the line. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; it should hold the password") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text; it should hold the password") from error


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Take ANDON__SECTION__KEY=value, as TOML where it reads as such and as text otherwise.

    Returns the variable by key, so that a mistake in one can be named.
    """
    taken = {}
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT):
            continue
        *sections, key = name.removeprefix(ENVIRONMENT).lower().split("__")
        table = data
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {section} is not a table, it cannot be set from here")
        try:
            table[key] = tomllib.loads(f"value = {text}")["value"]
        except UNREADABLE:
            table[key] = text
        taken[key] = name
    return taken


def _check_numbers(config: GatewayConfig, path: Path) -> None:
    bounds: list[tuple[str, float, float, float]] = [
        ("[model] approvals", config.model.approvals, 0, 10),
        ("[model] watch_s", config.model.watch_s, 0, 31 * 86_400),
        ("[model] watch_alert_times", config.model.watch_alert_times, 1, 10**6),
        ("[mqtt] queue_messages_max", config.mqtt.queue_messages_max, 1, 10**7),
        ("[mqtt] queue_ms_max", config.mqtt.queue_ms_max, 100, 3_600_000),
        ("[journal] sync_s", config.journal.sync_s, 0, 3_600),
        ("[journal] checkpoint_s", config.journal.checkpoint_s, 0.1, 3_600),
        ("[journal] replay_s", config.journal.replay_s, 0, 3_600),
        ("[journal] bytes_max", config.journal.bytes_max, 64 << 20, 1 << 50),
        ("[journal] days_max", config.journal.days_max, 1, 36_500),
        ("[outbox] bytes_max", config.outbox.bytes_max, 1 << 20, 1 << 40),
        ("[outbox] days_max", config.outbox.days_max, 0.01, 36_500),
        ("[engine] tick_ms", config.engine.tick_ms, 1, 60_000),
        ("[engine] fuse_s", config.engine.fuse_s, 1, config.engine.fuse_s_max),
        ("[engine] shift_s", config.engine.shift_s, 60, 604_800),
        ("[engine] settle_s", config.engine.settle_s, 0, config.engine.settle_s_max),
        ("[engine] start_settle_s", config.engine.start_settle_s, 0, 3_600),
    ]
    bounds += [
        (f"[engine] {name}", getattr(config.engine, name), 0, 10**9)
        for name in config.engine.__struct_fields__
        if name != "ack_owner"
    ]
    for where, broker in brokers(config):
        bounds.append((f"{where} port", broker.port, 1, 65_535))
        bounds.append((f"{where} keepalive_s", broker.keepalive_s, 1, 65_535))
    if config.commissioning is not None:
        learning = config.commissioning
        bounds.append(("[commissioning] learn_minutes", learning.learn_minutes, 0.1, 44_640))
        bounds.append(("[commissioning] learn_rows", learning.learn_rows, 100, 10**7))
        bounds.append(("[commissioning] period_s", learning.period_s, 0.001, 86_400))
    for asset in config.asset:
        bounds.append((f"asset {asset.id}: severity", asset.severity, 1, 1000))
        bounds.append((f"asset {asset.id}: respond_min", asset.respond_min, 0, 10**6))
    for key, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigError(f"{path}: {out_of_bounds(key, value, low, high)}")


def _check_brokers(config: GatewayConfig, path: Path) -> None:
    for where, broker in brokers(config):
        if not broker.client_id:
            raise ConfigError(
                f"{path}: {where} client_id is empty; a session that lasts needs a name"
            )
    if len({(broker.host, broker.port) for _, broker in brokers(config)}) != len(brokers(config)):
        raise ConfigError(
            f"{path}: [mqtt.output] is the broker of [mqtt]; leave it out, or name another one"
        )
    if config.mqtt.output is not None and any(source.rebirth for source in config.source):
        raise ConfigError(
            f"{path}: rebirth of a source asks on the plant's broker, which [mqtt.output] makes one"
            " that is only read; leave one of them out"
        )


def _check(config: GatewayConfig, path: Path) -> None:
    if config.kb.source and not (config.kb.snapshot and config.path(config.kb.source).is_dir()):
        raise ConfigError(f"{path}: [kb] source is a directory, and needs [kb] snapshot beside it")
    check_zone(config.kb.timezone, path, "[kb]")
    check_zone(config.reports.timezone, path, "[reports]")
    if not config.model.bundle and config.commissioning is None:
        raise ConfigError(
            f"{path}: [model] bundle is missing; make one with `andon fit RECORDING -o DIR`, or add"
            " [commissioning] and the gateway learns by itself"
        )
    _check_numbers(config, path)
    check_sources(config.source, path)
    _check_brokers(config, path)
    check_outputs(config.output, config.engine, path)
    check_node(config.output, config.mqtt, config.source, path)
    if config.clock not in ("wall", "plant"):
        raise ConfigError(f"{path}: clock is {config.clock!r}, expected wall or plant")
    named = ((config.site, "site"), (config.prefix, "prefix"), (config.page.user, "[page] user"))
    for text, key in named:
        if not is_asset_id(text):
            raise ConfigError(f"{path}: {key} is {text!r}, expected a name without / + #")
    seen: set[str] = set()
    for asset in config.asset:
        if not is_asset_id(asset.id) or asset.id in seen:
            raise ConfigError(f"{path}: asset id {asset.id!r} is not usable or comes twice")
        seen.add(asset.id)
        if not all(name.strip() for name in asset.utilities):
            raise ConfigError(f"{path}: asset {asset.id}: a utility has no name")
        _check_tags(asset, path)


def _check_tags(asset: AssetSettings, path: Path) -> None:
    where = f"{path}: asset {asset.id}"
    targets = list(asset.tags.values())
    for target in targets:
        if targets.count(target) > 1:
            raise ConfigError(f"{where}: two tags are mapped to channel {target!r}")
    for tag in asset.context:
        if tag.role not in ("run", "mode", "witness", "heartbeat", "info"):
            raise ConfigError(
                f"{where}, context tag {tag.tag}: role is {tag.role!r}, "
                "expected run, mode, witness, heartbeat or info"
            )
        if tag.role == "heartbeat" and tag.interval_ms_max <= 0:
            raise ConfigError(f"{where}, context tag {tag.tag}: a heartbeat needs interval_ms_max")
        if tag.role == "witness" and tag.kind is None:
            raise ConfigError(
                f"{where}, context tag {tag.tag}: a witness needs the kind of work it opens"
            )

    if sum(tag.role == "mode" for tag in asset.context) > 1:
        raise ConfigError(f"{where}: more than one context tag has the role mode")
    _check_waveforms(asset, where)


def _check_waveforms(asset: AssetSettings, where: str) -> None:
    for waveform in asset.waveform:
        check_waveform(waveform, where=f"{where}, waveform {waveform.tag}")
        if sum(other.tag == waveform.tag for other in asset.waveform) > 1:
            raise ConfigError(f"{where}: two waveforms have the tag {waveform.tag!r}")
    made = [name for waveform in asset.waveform for name in waveform.named.values()]
    twice = [name for name in made if made.count(name) > 1 or name in asset.tags.values()]
    if twice:
        raise ConfigError(f"{where}: channel {twice[0]!r} comes from a waveform and from elsewhere")


def _explain(message: str, overrides: Mapping[str, str]) -> str:
    """Msgspec's message with the place as the file has it and the nearest known key of that table.

    And with the variable that set it.
    """
    place = re.search(r"at `\$([^`]*)`", message)
    names = re.findall(r"[A-Za-z_]\w*", place.group(1)) if place else []
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is not None:
        table = next((_TABLES[name] for name in reversed(names) if name in _TABLES), GatewayConfig)
        table = OutputsConfig if names == ["output"] else table  # [mqtt.output] is another one
        known = [field for field in table.__struct_fields__ if field != "base"]
        message += hint(unknown.group(1), known)
        names.append(unknown.group(1))
    if place is not None:
        message = message.replace(place.group(0), f"at {_place(place.group(1))}")
    if names and names[-1] in overrides:
        message += f"; {overrides[names[-1]]} sets it"
    return message


def _place(path: str) -> str:
    """A path of msgspec as the file has it: .asset[1].context[0] is [[asset]] 2 context 1."""
    table, *keys = path.replace("[...]", "").removeprefix(".").split(".")
    keys = [re.sub(r"\[(\d+)\]", lambda found: f" {int(found[1]) + 1}", key) for key in keys]
    key, _, index = table.removesuffix("]").partition("[")
    head = f"[{key}]" if key in _TABLES else key
    return " ".join([f"[[{key}]] {int(index) + 1}" if index else head, *keys])
