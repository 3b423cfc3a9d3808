"""Files of mosquitto made from `gateway.toml`: configuration, access list, what is left to do.

The broker trusts nobody by default: no anonymous clients, a list for each user, and the settings
without which it is slow or loses messages.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from shlex import quote
from typing import TYPE_CHECKING, Final

from edge.audit.signatures import certificate_name
from edge.brokers.accounts import access_of
from edge.brokers.link import IN_FLIGHT_MAX
from edge.caps import PAYLOAD_BYTES_MAX
from edge.configuration.config import brokers
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.brokers.accounts import Access, Account
    from edge.configuration.config import GatewayConfig
    from edge.configuration.sections import BrokerConfig

QUEUED_MESSAGES_MIN: Final = (
    100_000  # of a session; 0 is everything in one release, none in another
)
QUEUED_BYTES: Final = 256 << 20
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DAYS: Final = 800  # of certificates made as told; `andon check` says three weeks before they end
CA_DAYS: Final = 3650
FRESH: Final = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"

DEFAULT_ID: Final = "andon"
GUESSED: Final = """\
The gateway's client_id {id!r} is easy to guess. Whoever has any account and connects under it
throws the gateway out, or takes what waits for it while it is away. In gateway.toml, beside host:
  client_id = "{id}-{other}"
"""

CONFIGURATION: Final = """\
# {title}
# Made by `andon broker`. Make it again when assets, sources or operators change; do not edit.
per_listener_settings false

listener {port}{bind}
{security}
allow_anonymous false
acl_file {at}/acl

# With Nagle's algorithm, as installed, QoS 1 waits 40 ms for each acknowledgement.
set_tcp_nodelay true
max_inflight_messages {in_flight}
# What waits for a gateway that is away. Never 0.
max_queued_messages {queued}
max_queued_bytes {queued_bytes}
message_size_limit {payload_bytes}

persistence true
persistence_location {at}/store/
autosave_interval 60
"""

TLS: Final = """\
cafile {at}/ca.crt
certfile {at}/server.crt
keyfile {at}/server.key
tls_version tlsv1.2"""


def broker_files(
    config: GatewayConfig,
    assets: Sequence[str],
    *,
    at: Path,
    operators: Sequence[str],
    dashboards: Sequence[str],
) -> dict[str, str]:
    """Texts by path below the directory `at`, where they will be. Raises ConfigError."""
    sections = brokers(config)
    accesses = access_of(
        config,
        assets,
        users=[_user(config, broker, where) for where, broker in sections],
        operators=operators,
        dashboards=dashboards,
    )
    made = {}
    for (where, broker), access in zip(sections, accesses, strict=True):
        below = "" if len(sections) == 1 else ("output/" if "output" in where else "input/")
        place = Path(at) / below
        name = f"Broker of {where} of {config.prefix}/{config.site}"
        made[f"{below}mosquitto.conf"] = _configuration(config, broker, place, name)
        made[f"{below}acl"] = _access_list(access, name)
        made[f"{below}NEXT.txt"] = _next(broker, access, place, name)
    return made


def _by_certificate(broker: BrokerConfig) -> bool:
    """Whether the name in a client's certificate is its user: no passwords then."""
    return bool(broker.tls_cert_file) and not broker.username


def _user(config: GatewayConfig, broker: BrokerConfig, where: str) -> str:
    """What the gateway is called on a broker."""
    if broker.username:
        return broker.username
    if not broker.tls_cert_file:
        raise ConfigError(
            f"{where} has neither username nor tls_cert_file, and the broker would let nobody in "
            'without a name; set username = "andon" and password_file, or a certificate'
        )
    path = config.path(broker.tls_cert_file)
    try:
        name = certificate_name(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{where} tls_cert_file {path}: {error.strerror}; the gateway's rights go to the name "
            "in it"
        ) from error
    if not name:
        raise ConfigError(f"{where} tls_cert_file {path} names nobody (no common name)")
    return name


def _configuration(config: GatewayConfig, broker: BrokerConfig, at: Path, title: str) -> str:
    lines = []
    if broker.tls_ca_file:
        lines.append(TLS.format(at=at))
        if broker.tls_crl_file:
            lines.append(f"crlfile {at}/revoked.crl")
        if broker.tls_cert_file:
            lines.append("require_certificate true")
    else:
        lines.append("# Plain text: passwords and values can be read and changed on the way.")
        lines.append("# For TLS set tls_ca_file in gateway.toml, and make this file again.")
    if _by_certificate(broker):
        lines.append("# The name in a client's certificate is its user.")
        lines.append("use_identity_as_username true")
    else:
        lines.append(f"password_file {at}/passwd")
    plain_here = not broker.tls_ca_file and broker.host in LOOPBACK
    return CONFIGURATION.format(
        title=title,
        port=broker.port,
        bind=f" {broker.host}" if plain_here else "",
        security="\n".join(lines),
        at=at,
        in_flight=IN_FLIGHT_MAX,
        queued=max(QUEUED_MESSAGES_MIN, config.mqtt.queue_messages_max),
        queued_bytes=QUEUED_BYTES,
        payload_bytes=PAYLOAD_BYTES_MAX,
    )


def _access_list(access: Access, title: str) -> str:
    lines = [f"# {title}", "# Made by `andon broker`; what is not listed is refused to everybody."]
    for account in access.accounts:
        lines += ["", f"# {_described(account)}", f"user {account.name}"]
        if access.denied and not account.commands:
            # The pattern below holds for every user, and this one is no operator.
            lines.append(f"topic deny {access.denied}/{account.name}/#")
        lines += [f"topic deny {topic}" for topic in account.denied]
        lines += [f"topic read {topic}" for topic in account.reads]
        lines += [f"topic write {topic}" for topic in account.writes]
    if access.patterns:
        lines += ["", "# Every operator, listed above or not, under the own name only."]
        lines += [f"pattern {kind} {topic}" for kind, topic in access.patterns]
    return "\n".join(lines) + "\n"


def _described(account: Account) -> str:
    shared = "; shared, so it proves nobody in person" if account.shared else ""
    return f"{account.role}{shared}"


def _next(broker: BrokerConfig, access: Access, at: Path, title: str) -> str:
    lines = [title, "", "Accounts:"]
    lines += [f"  {account.name:20} {_described(account)}" for account in access.accounts]
    if access.patterns:
        lines.append("  any other name       operator without alerts: commands and their answers")
    if broker.client_id == DEFAULT_ID:
        lines += ["", *GUESSED.format(id=broker.client_id, other=token_hex(8)).splitlines()]
    if broker.tls_ca_file:
        lines += ["", "Certificates, with an authority of your own (keep ca.key elsewhere):"]
        lines += [f"  {command}" for command in _certificates(broker, access, at)]
    if not _by_certificate(broker):
        lines += ["", "Passwords, asked for one after another (a new file with -c, then added):"]
        create = "-c "
        for account in access.accounts:
            into = quote(f"{at}/passwd")
            lines.append(f"  mosquitto_passwd {create}{into} {quote(account.name)}")
            create = ""
    lines += [
        "",
        "As root, so that the broker may read its files, and nobody else:",
        f"  mkdir -p {quote(f'{at}/store')}",
        f"  chown -R mosquitto {quote(str(at))}",
        f"  chmod -R go-rwx {quote(str(at))}",
        f"  mosquitto -c {quote(f'{at}/mosquitto.conf')}",
        "",
        "Or without root, as the user who runs the broker (to try it; ports above 1023):",
        f"  mkdir -p {quote(f'{at}/store')} && chmod -R go-rwx {quote(str(at))}",
        f"  mosquitto -c {quote(f'{at}/mosquitto.conf')}",
        "",
    ]
    return "\n".join(lines)


def _certificates(broker: BrokerConfig, access: Access, at: Path) -> list[str]:
    """Commands of openssl 3 that make an authority, the broker's certificate and the clients'."""
    host = broker.tls_server_name or broker.host
    kind = "IP" if host.replace(".", "").isdecimal() or ":" in host else "DNS"
    named = f"{quote(f'/CN={host}')} -addext {quote(f'subjectAltName={kind}:{host}')}"
    authority = quote(f"/CN=authority of {host}")
    commands = [
        f"{FRESH} -x509 -days {CA_DAYS} -subj {authority} {_files(at, 'ca', 'crt')}",
        f"{FRESH} -subj {named} {_files(at, 'server', 'csr')}",
        _signed(at, "server", "-copy_extensions copy "),
    ]
    if broker.tls_cert_file:
        for account in access.accounts:
            if account.name in ("ca", "server"):
                raise ConfigError(
                    f"account {account.name!r}: its certificate would take the place of the"
                    " authority's or the broker's own; give it another name"
                )
            name = quote(f"/CN={account.name}")
            commands.append(f"{FRESH} -subj {name} {_files(at, account.name, 'csr')}")
            commands.append(_signed(at, account.name, ""))
    if broker.tls_crl_file:
        commands.append(f"# and the authority's revocation list as {at}/revoked.crl")
    return commands


def _files(at: Path, name: str, kind: str) -> str:
    return f"-keyout {quote(f'{at}/{name}.key')} -out {quote(f'{at}/{name}.{kind}')}"


def _signed(at: Path, name: str, more: str) -> str:
    asked, made = quote(f"{at}/{name}.csr"), quote(f"{at}/{name}.crt")
    authority = f"-CA {quote(f'{at}/ca.crt')} -CAkey {quote(f'{at}/ca.key')}"
    return f"openssl x509 -req {authority} -days {DAYS} {more}-in {asked} -out {made}"
