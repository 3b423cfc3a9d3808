"""Sections of `gateway.toml` that only shells read: broker, detector, knowledge, journal."""

from __future__ import annotations

import msgspec


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
    """The detector, and what it takes to let another one take over."""

    bundle: str = ""  # "": none yet, with [commissioning] the gateway learns its own
    approvals: int = 0  # persons other than the promoter who must have approved a bundle
    watch_s: float = 3_600.0  # after a promotion; 0: nothing is rolled back by itself
    watch_alert_times: float = 10.0  # so many times the alert budget roll it back


class KbConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knowledge base; without a snapshot nothing is ever suppressed."""

    snapshot: str = ""
    source: str = ""  # its folder, where texts of operators are noted; "": none are taken
    timezone: str = ""  # of the times in them, such as Europe/Berlin; "": these are not read
    embedder: str = ""  # directory of the text model it was built with; "": the shipped one


class JournalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journal, outbox and checkpoints: what must survive."""

    dir: str = "state"
    sync_s: float = 5.0
    strict: bool = False
    bytes_max: int = 2 << 30
    days_max: int = 30
    checkpoint_s: float = 10.0
    compress: bool = True


class IncludeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CSV tables: assets (columns as [[asset]] keys) and tags (asset, tag, channel, unit)."""

    assets: str = ""
    tags: str = ""
