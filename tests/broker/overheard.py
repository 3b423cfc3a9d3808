"""A second pair of ears on every broker of these tests: what was said, and who said it.

A subscriber to `#` hears every topic, last wills included; the broker's own log says which client
published what. Whatever tests do, a gateway may publish what `andon check` lists and nothing else.
Who starts a gateway notes it here; one that no ears were asked about fails the run at its end.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from edge.brokers.rights import published_topics
from edge.bundles.store import store_of
from edge.commissioning.watch import joined
from edge.configuration.config import brokers, load
from edge.wire.channels import channel_of
from edge.wire.topics import Topics
from models.bundles.store import load as load_bundle
from models.errors import ModelError
from tests.broker.started import STARTED, Told, answered_for
from tests.schema_checks import check_heard
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

NAME: Final = "overheard"
LOG: Final = """\
log_dest file {log}
log_type debug
log_type subscribe
"""
PUBLISHED: Final = re.compile(
    r"Received PUBLISH from (.+?) \(d\d, q(\d), r(\d), m\d+, '(.*)', \.\.\. \("
)


def gateway_starts(config: Path, environment: Mapping[str, str]) -> None:
    """Note that a gateway is about to run with these settings."""
    given = load(config, environment=environment)
    sections = [broker for _, broker in brokers(given)]
    STARTED.append(
        Told(
            frozenset(_client_ids(given)),
            frozenset(_listed(given)),
            {broker.port for broker in sections},
        )
    )


def _client_ids(config: GatewayConfig) -> Iterator[str]:
    """Its own, and that of its node of Sparkplug B."""
    node = config.output.sparkplug
    for _, broker in brokers(config):
        yield broker.client_id
        if node is not None:
            yield node.client_id(broker)


def _listed(config: GatewayConfig) -> list[str]:
    """As `andon check` lists it."""
    begun = joined(config)
    try:
        bundle = load_bundle(store_of(config).current()[1]) if begun is None else begun
    except ModelError:  # a test of just that
        return published_topics(config, [asset.id for asset in config.asset])
    return published_topics(config, [model.asset for model in bundle.assets])


class Overheard:
    """The ears of one broker, over its restarts."""

    def __init__(self, port: int, directory: Path) -> None:
        self._port = port
        self._ports = {port}
        self.log = directory / "broker.log"
        self._file = directory / "overheard"
        self._process: subprocess.Popen[bytes] | None = None
        self._gateways: list[Told] = []

    def reached_by(self, port: int) -> None:
        """The broker is behind this port too: of a listener over TLS, or of a proxy."""
        self._ports.add(port)

    def listen(self, *credentials: str | Path) -> None:
        """Begin to listen; the session outlives restarts of the broker.

        credentials: options of mosquitto_sub, where only a named reader hears everything.
        """
        if self._process is not None:
            return
        program = shutil.which("mosquitto_sub")
        assert program is not None, "mosquitto comes with its clients"
        command = [program, "-h", "127.0.0.1", "-p", str(self._port), "-i", NAME, "-c", "-q", "1"]
        command += [str(one) for one in credentials]
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(
                [*command, "-t", "#", "-F", "%t\t%x"], stdout=out, stderr=subprocess.DEVNULL
            )
        wait_until(self._listens, what="the second pair of ears")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the second pair of ears was not let in"
        return any(f"SUBACK to {NAME}" in line for line in self._logged())

    def stop(self) -> None:
        """Listen no longer."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def check(self) -> None:
        """Nothing but what is listed came from a gateway, by the log and by what was heard."""
        self._gateways += answered_for(self._ports)
        if not self._gateways:
            return
        assert self._process is not None, "gateways spoke here, and nobody listened"
        ours = {name for told in self._gateways for name in told.client_ids}
        said: dict[str, set[str]] = {}
        ways: set[tuple[str, int, bool]] = set()
        for client, topic, qos, retain in self._publications():
            said.setdefault(client, set()).add(topic)
            if client in ours:
                ways.add((topic, qos, retain))
        listed = {topic for told in self._gateways for topic in told.listed}
        for name in ours:
            beyond = not_listed(said.get(name, ()), listed)
            assert not beyond, f"client {name} published what is not listed: {sorted(beyond)}"
        others = {
            topic for client, topics in said.items() if client not in ours for topic in topics
        }
        beyond = not_listed(self.heard() - others, listed)
        assert not beyond, f"heard, listed by no gateway and of no test: {sorted(beyond)}"
        self._check_described(ways, self.heard() - others - not_listed(self.heard(), listed))

    def _roots(self) -> set[Topics]:
        """Below which gateways speak, by where they say that they are there."""
        found = (t.split("/") for told in self._gateways for t in told.listed)
        return {Topics(one[0], one[1]) for one in found if one[2:] == ["status"]}

    def _check_described(self, ways: Iterable[tuple[str, int, bool]], ours: set[str]) -> None:
        """Each message of a gateway is said in the way, and with the payload, of its channel."""
        roots = self._roots()
        for topic, *way in ways:
            for channel in filter(None, (channel_of(topic, root) for root in roots)):
                assert way == [channel.qos, channel.retain], f"QoS and retain of {topic}: {way}"
        for topic, payload in self._messages():
            for root in roots if topic in ours else ():
                check_heard(topic, payload, root)

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        """Topics and payloads; a line that was cut off as the ears were stopped is left out."""
        with self._file.open(encoding="utf-8") as lines:
            for line in lines:
                topic, _, payload = line.partition("\t")
                if payload.endswith("\n"):
                    yield topic, bytes.fromhex(payload)

    def heard(self) -> set[str]:
        """Every topic that a message came on."""
        return {topic for topic, _ in self._messages()}

    def published(self) -> Iterator[tuple[str, str]]:
        """Client id and topic of each publication, as the broker noted it."""
        for client, topic, _, _ in self._publications():
            yield client, topic

    def _publications(self) -> Iterator[tuple[str, str, int, bool]]:
        for line in self._logged():
            if found := PUBLISHED.search(line):
                yield found[1], found[4], int(found[2]), found[3] == "1"

    def _logged(self) -> Iterator[str]:
        """Line by line: after hours of load it is larger than memory."""
        if self.log.is_file():
            with self.log.open(encoding="utf-8", errors="replace") as lines:
                yield from lines


def not_listed(topics: Iterable[str], listed: set[str]) -> set[str]:
    """Topics that no entry of the list covers; `+` stands for one operator's name."""
    heads = {topic.removesuffix("+") for topic in listed if topic.endswith("/+")}
    return {
        topic
        for topic in topics
        if topic not in listed and f"{topic.rpartition('/')[0]}/" not in heads
    }
