"""Sections of `gateway.toml` that only shells read: broker, detector, knowledge, journal."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge.configuration.addresses import is_loopback

_PLACES: Final = re.compile(r"\{\w+\}")


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a broker is, who we are there, and what proves who it is."""

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str = "andon"
    username: str = ""
    password_file: str = ""
    keepalive_s: int = 30
    tls_ca_file: str = ""  # turns TLS on
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_key_password_file: str = ""
    tls_crl_file: str = ""
    tls_server_name: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for keys of TLS that would do nothing without another one."""
        rest = (self.tls_cert_file, self.tls_crl_file, self.tls_server_name)
        if any((*rest, self.tls_key_file, self.tls_key_password_file)) and not self.tls_ca_file:
            raise ValueError(
                "keys of TLS without tls_ca_file: name the authority of the broker's certificate,"
                " else the connection would be plain text"
            )
        if (self.tls_key_file or self.tls_key_password_file) and not self.tls_cert_file:
            raise ValueError("tls_key_file without tls_cert_file: name the certificate it is of")

    @property
    def secret_files(self) -> tuple[str, ...]:
        """Files that nobody else may read."""
        key = self.tls_key_file or self.tls_cert_file  # a certificate may hold its key
        named = (self.password_file, key, self.tls_key_password_file)
        return tuple(name for name in named if name)


class MqttConfig(BrokerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plant's broker; with `output` it is only read, and everything of ours goes there."""

    queue_messages_max: int = 100_000
    queue_ms_max: int = 5_000  # what waits longer before it is taken is overload
    watch_broker_drops: bool = False  # listen to the broker's own count of what it dropped
    output: BrokerConfig | None = None


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
    replay_s: float = 0.45  # of processor time that a restart may spend on it; 0: not bounded
    compress: bool = True


class OutboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may wait for a broker that stays away; beyond it the oldest alerts are given up.

    days_max: of running, so that no clock that jumps makes anything old.
    """

    bytes_max: int = 256 << 20
    days_max: float = 30.0


class IncludeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CSV tables: assets (columns as [[asset]] keys) and tags (asset, tag, channel, unit)."""

    assets: str = ""
    tags: str = ""
    alarms: str = ""  # the rationalisation table: asset, track, channel, what an alert means


class LdapConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory whose people sign in on the page, beside the users of its file.

    A name becomes a DN by `user_dn`, or is searched below `base_dn` by an account of our own.
    viewer, operator, engineer: DNs of groups, whose members have that role; the highest counts.
    group_base_dn "": groups are those of the entry's `memberOf`.
    """

    url: str
    start_tls: bool = False
    ca_file: str = ""
    timeout_s: float = 5.0
    user_dn: str = ""
    base_dn: str = ""
    user_filter: str = "(uid={user})"
    bind_dn: str = ""
    bind_password_file: str = ""
    name_attribute: str = "uid"
    group_base_dn: str = ""
    group_filter: str = "(member={dn})"
    viewer: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    engineer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where passwords would be readable, or nobody could sign in."""
        scheme, host, _ = self.place
        if not self.encrypted and not is_loopback(host):
            raise ValueError(
                f"[page.ldap] url is {self.url!r}: passwords would cross the network readable;"
                " expected ldaps://HOST, or ldap://HOST with start_tls = true"
            )
        if scheme == "ldaps" and self.start_tls:
            raise ValueError("[page.ldap] start_tls with ldaps://: it is encrypted already")
        if not 0.5 <= self.timeout_s <= 60:
            raise ValueError(f"[page.ldap] timeout_s is {self.timeout_s}, expected 0.5 to 60")
        if bool(self.user_dn) == bool(self.base_dn):
            raise ValueError(
                "[page.ldap] expected either user_dn, such as uid={user},ou=people,dc=plant, or"
                " base_dn, below which an account of ours (bind_dn) searches"
            )
        needed = ("user_dn", self.user_dn) if self.user_dn else ("user_filter", self.user_filter)
        if "{user}" not in needed[1]:
            raise ValueError(f"[page.ldap] {needed[0]} is {needed[1]!r}, expected {{user}} in it")
        if self.base_dn and not (self.bind_dn and self.bind_password_file):
            raise ValueError("[page.ldap] base_dn needs bind_dn and bind_password_file to search")
        if self.user_dn and (self.bind_dn or self.bind_password_file):
            raise ValueError("[page.ldap] bind_dn does nothing with user_dn; it is for base_dn")
        if self.group_base_dn and not {"{dn}", "{user}"} & set(_PLACES.findall(self.group_filter)):
            raise ValueError("[page.ldap] group_filter: expected {dn} or {user} in it")
        if not (self.viewer or self.operator or self.engineer):
            raise ValueError(
                "[page.ldap] no group has a role, so nobody could sign in; expected DNs of groups"
                " in viewer, operator or engineer"
            )

    @property
    def secret_files(self) -> tuple[str, ...]:
        """Files that nobody else may read."""
        return (self.bind_password_file,) if self.bind_password_file else ()

    @property
    def place(self) -> tuple[str, str, int]:
        """Scheme, host and port of the url. Raises ValueError for one that is none."""
        found = urlsplit(self.url)
        bare = found.path in ("", "/") and not (found.query or found.fragment or found.username)
        if found.scheme not in ("ldap", "ldaps") or not found.hostname or not bare:
            raise ValueError(f"[page.ldap] url is {self.url!r}, expected ldaps://HOST[:PORT]")
        return found.scheme, found.hostname, found.port or (636 if found.scheme == "ldaps" else 389)

    @property
    def encrypted(self) -> bool:
        """Whether a password is sent over TLS."""
        return self.start_tls or self.place[0] == "ldaps"


class PageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator page: who may use it, and how it is reached.

    hosts: names by which browsers call it, beside its address and the box's own name. user: who
    commands are sent as while nobody has to sign in. idle_minutes: without a page that is open.
    broker_...: who the page is on the broker of [mqtt.output], else of [mqtt].
    """

    users_file: str = "users.json"
    user: str = "page"
    hosts: tuple[str, ...] = ()
    tls_cert_file: str = ""
    tls_key_file: str = ""
    idle_minutes: float = 30.0
    session_hours: float = 12.0
    broker_username: str = ""
    broker_password_file: str = ""
    broker_cert_file: str = ""
    broker_key_file: str = ""
    broker_key_password_file: str = ""
    ldap: LdapConfig | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for half of a pair of TLS files, and for times that are none."""
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_cert_file and tls_key_file come together: certificate and key")
        if not 1 <= self.idle_minutes <= 10_080:
            raise ValueError(f"idle_minutes is {self.idle_minutes}, expected 1 to 10080")
        if not 0.1 <= self.session_hours <= 168:
            raise ValueError(f"session_hours is {self.session_hours}, expected 0.1 to 168")


class ReportsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Handover sheet and month report, and the history of alerts that they are made from.

    file "": `reports.db` in [journal] dir. timezone "": that of [kb], else of this machine.
    """

    file: str = ""
    bytes_max: int = 64 << 20
    days_max: int = 400
    timezone: str = ""
    language: str = "en"

    def __post_init__(self) -> None:
        """Raise ValueError for caps that keep no month, and a language that there is not."""
        if not 1 << 20 <= self.bytes_max <= 1 << 40:
            raise ValueError(f"bytes_max is {self.bytes_max}, expected {1 << 20} to {1 << 40}")
        if not 32 <= self.days_max <= 36_500:
            raise ValueError(f"days_max is {self.days_max}, expected 32 to 36500")
        if self.language not in ("en", "de"):
            raise ValueError(f"language is {self.language!r}, expected en or de")
