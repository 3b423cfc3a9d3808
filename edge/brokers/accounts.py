"""Who may do what on a broker: accounts and their topics, from the configuration alone.

An operator's rights are a pattern with the user's name, so a new operator needs a password only.
Patterns hold for every user: whoever is no operator is denied the commands of that name. A pattern
ends in `+`: with `#` the user `ann/job` would write the command `job` of `ann`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.brokers.rights import (
    command_filters,
    own_filters,
    page_filters,
    page_writes,
    published_topics,
    sensor_filters,
)
from edge.errors import ConfigError
from edge.trust import Signs
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import CLOCK_TOPIC, Topics, is_asset_id, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.configuration.config import GatewayConfig

# A broker looks at every line of the sender's list for each message. Beyond this many assets a
# list names them by `+`: the kinds of topics stay exact.
LISTED_ASSETS_MAX: Final = 100
SENSORS: Final = "sensors"  # whoever publishes where a topic names no asset
REPLAY: Final = "replay"  # with the clock of a replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One user of a broker; shared: several people or devices are this user."""

    name: str
    role: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()  # though what it writes would match
    shared: bool = False
    commands: bool = False  # an operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Everything about the users of one broker. `patterns`: (read or write, topic with %u)."""

    accounts: tuple[Account, ...]
    patterns: tuple[tuple[str, str], ...] = ()
    denied: str = ""  # below it stand the commands of each user


def access_of(
    config: GatewayConfig,
    assets: Sequence[str],
    *,
    users: Sequence[str],
    operators: Sequence[str],
    dashboards: Sequence[str],
) -> list[Access]:
    """The users of the one broker, or of the input and of the output broker.

    users: what the gateway is called on each. Raises ConfigError for a name with two roles.
    """
    topics = Topics(config.prefix, config.site)
    heard, said = tuple(sensor_filters(config)), tuple(_written(config, assets))
    asked = (topics.status, topics.health)  # by `andon doctor`, with the gateway's account
    commands = (*command_filters(config), *own_filters(config), *asked)
    people = [
        *_operators(config, topics, said, operators),
        *(_dashboard(name, topics, said) for name in dashboards),
        *_page(config),
    ]
    senders = [_apart(sender, topics, said) for sender in _senders(config, assets)]
    patterns = (
        ("write", f"{topics.root}/cmd/%u/+"),
        ("read", topics.command_result("%u")),
    )
    denied = f"{config.prefix}/+/cmd"  # whatever other sites share the broker, with their patterns
    if config.mqtt.output is None:
        ours = Account(name=users[0], role="gateway", reads=heard + commands, writes=said)
        return [_access([ours, *senders, *people], patterns, denied)]
    reading = Account(name=users[0], role="gateway", reads=heard)
    saying = Account(name=users[1], role="gateway", reads=commands, writes=said)
    return [_access([reading, *senders], (), ""), _access([saying, *people], patterns, denied)]


def _access(
    accounts: Sequence[Account], patterns: tuple[tuple[str, str], ...], denied: str
) -> Access:
    names = [account.name for account in accounts]
    for account in accounts:
        if names.count(account.name) > 1:
            roles = " and ".join(one.role for one in accounts if one.name == account.name)
            raise ConfigError(
                f"account {account.name!r} would be {roles} at once, with the rights of both; "
                "give one of them another name"
            )
        words = (account.name, *account.reads, *account.writes)
        if ":" in account.name or not all(word.isprintable() for word in words):
            raise ConfigError(f"account {account.name!r}: a list cannot hold its name or topics")
        if not is_asset_id(account.name):
            raise ConfigError(
                f"account {account.name!r}: expected a name without / + #, a level of topics; with"
                " them a user could be taken for another"
            )
    return Access(accounts=tuple(accounts), patterns=patterns, denied=denied)


def _written(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    if len(assets) <= LISTED_ASSETS_MAX:
        return published_topics(config, assets)
    known, root = set(assets), f"{config.prefix}/{config.site}/"
    found = []
    for topic in published_topics(config, assets):
        if not topic.startswith(root) and topic.endswith("/config"):  # of discovery
            *above, _node, entity, last = topic.split("/")
            found.append("/".join([*above, "+", entity, last]))
            continue
        if not topic.startswith(root) and topic.startswith(f"{NAMESPACE}/"):
            node, _, device = topic.rpartition("/")
            found.append(f"{node}/+" if node.count("/") == 3 and device in known else topic)
            continue
        head, _, rest = topic.removeprefix(root).partition("/")
        asset, slash, track = rest.partition("/")
        found.append(f"{root}{head}/+{slash}{track}" if asset in known else topic)
    return list(dict.fromkeys(found))


def _kinds(topics: Topics, said: Iterable[str]) -> list[str]:
    """Of our own topics the kinds, each once."""
    ours = (topic for topic in said if topic.startswith(f"{topics.root}/"))
    return list(dict.fromkeys(topic.split("/")[2] for topic in ours))


def _told(topics: Topics, said: Iterable[str]) -> tuple[str, ...]:
    """What people may see: every kind of ours but the answers to others' commands."""
    kinds = _kinds(topics, said)
    return tuple(
        f"{topics.root}/{kind}" + ("" if kind in ("status", "health") else "/#")
        for kind in kinds
        if kind != "cmd_result"
    )


def _operators(
    config: GatewayConfig, topics: Topics, said: Iterable[str], named: Sequence[str]
) -> list[Account]:
    trust = config.trust
    keyed = [one.name for one in trust.key if Signs.COMMANDS in one.signs and not one.withdrawn]
    listed = {one.name: one.shared for one in config.operator}
    told = _told(topics, said)
    return [
        Account(
            name=name,
            role="operator",
            reads=told,
            commands=True,
            shared=listed.get(name, False),
        )
        for name in dict.fromkeys([*listed, *trust.operators, *keyed, *named])
    ]


def _dashboard(name: str, topics: Topics, said: Iterable[str]) -> Account:
    return Account(name=name, role="dashboard", reads=_told(topics, said), shared=True)


def _page(config: GatewayConfig) -> list[Account]:
    """The operator's page: it signs people in, and speaks for them under their names."""
    if not config.page.broker_username:
        return []
    reads, writes = tuple(page_filters(config)), tuple(page_writes(config))
    return [Account(name=config.page.broker_username, role="page", reads=reads, writes=writes)]


def _senders(config: GatewayConfig, assets: Sequence[str]) -> list[Account]:
    """Whoever publishes values: a user an asset where the topic names it, else one for all."""
    written: dict[str, list[str]] = {}
    together: dict[str, list[str]] = {}  # apart: an asset may have the name of one of these
    for source in config.source:
        if source.format == "sparkplug":  # a node sends for itself and for its devices
            together.setdefault(SENSORS, []).extend(subscriptions(source))
        elif "{asset}" in source.topic.split("/"):
            for asset in assets:
                written.setdefault(asset, []).append(source.topic.replace("{asset}", asset))
        elif source.asset:
            written.setdefault(source.asset, []).append(source.topic)
        else:
            together.setdefault(SENSORS, []).append(source.topic)
    for one in config.asset:
        for form in one.waveform:
            written.setdefault(one.id, []).append(form.topic_of(one.id))
    if config.clock == "plant":
        together[REPLAY] = [topic for topic in sensor_filters(config) if not topic.startswith("$")]
        assert CLOCK_TOPIC in together[REPLAY]
    return [
        Account(name=name, role="sensor", writes=tuple(dict.fromkeys(topics)), shared=shared)
        for those, shared in ((written, False), (together, True))
        for name, topics in those.items()
    ]


def _apart(sender: Account, topics: Topics, said: Iterable[str]) -> Account:
    """A sender whose topics reach ours, as `#` does, may not publish there all the same."""
    if not any(_reaches(topic, topics.root) for topic in sender.writes):
        return sender
    kinds = ["cmd", *_kinds(topics, said)]
    return replace(sender, denied=tuple(f"{topics.root}/{kind}/#" for kind in kinds))


def _reaches(topic: str, root: str) -> bool:
    """Whether a filter may match something below a root."""
    for given, ours in zip(topic.split("/"), root.split("/"), strict=False):
        if given == "#":
            return True
        if given not in ("+", ours):
            return False
    return True
