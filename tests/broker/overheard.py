"""A second pair of ears on every broker of these tests: what was said, and who said it.

A subscriber to `#` hears every topic, last wills included; the broker's own log says which client
published what. Whatever tests do, a gateway may publish what `andon check` lists and nothing else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.brokers.rights import published_topics
from edge.bundles.store import store_of
from edge.commissioning.watch import joined
from edge.configuration.config import brokers, load
from models.bundles.store import load as load_bundle
from models.errors import ModelError
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

NAME: Final = "overheard"
LOG: Final = """\
log_dest file {log}
log_type debug
log_type subscribe
"""
PUBLISHED: Final = re.compile(
    r"Received PUBLISH from (.+?) \(d\d, q\d, r\d, m\d+, '(.*)', \.\.\. \("
)
GATEWAYS: Final[dict[int, list[Told]]] = {}  # by the port of their broker


@dataclass(slots=True)
class Told:
    """A gateway that was started: its client ids, and every topic that it listed at any start."""

    client_ids: frozenset[str]
    listed: set[str] = field(default_factory=set)


def gateway_starts(config: Path, environment: Mapping[str, str]) -> None:
    """Note that a gateway is about to run with these settings."""
    given = load(config, environment=environment)
    sections = [broker for _, broker in brokers(given)]
    told = Told(frozenset(broker.client_id for broker in sections), set(_listed(given)))
    for broker in sections:
        GATEWAYS.setdefault(broker.port, []).append(told)


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
        self.log = directory / "broker.log"
        self._file = directory / "overheard"
        self._process: subprocess.Popen[bytes] | None = None

    def listen(self) -> None:
        """Begin to listen; the session outlives restarts of the broker."""
        if self._process is not None:
            return
        program = shutil.which("mosquitto_sub")
        assert program is not None, "mosquitto comes with its clients"
        command = [program, "-h", "127.0.0.1", "-p", str(self._port), "-i", NAME, "-c", "-q", "1"]
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(
                [*command, "-t", "#", "-F", "%t"], stdout=out, stderr=subprocess.DEVNULL
            )
        wait_until(lambda: f"SUBACK to {NAME}" in self._logged(), what="the second pair of ears")

    def stop(self) -> None:
        """Listen no longer."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def check(self) -> None:
        """Nothing but what is listed came from a gateway, by the log and by what was heard."""
        said: dict[str, set[str]] = {}
        for client, topic in PUBLISHED.findall(self._logged()):
            said.setdefault(client, set()).add(topic)
        gateways = GATEWAYS.get(self._port, [])
        ours = {name for told in gateways for name in told.client_ids}
        listed = {topic for told in gateways for topic in told.listed}
        for name in ours:
            beyond = not_listed(said.get(name, ()), listed)
            assert not beyond, f"client {name} published what is not listed: {sorted(beyond)}"
        others = {
            topic for client, topics in said.items() if client not in ours for topic in topics
        }
        if gateways and self._file.is_file():
            heard = set(self._file.read_text(encoding="utf-8").splitlines())
            beyond = not_listed(heard - others, listed)
            assert not beyond, f"heard, listed by no gateway and of no test: {sorted(beyond)}"

    def _logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""


def not_listed(topics: Iterable[str], listed: set[str]) -> set[str]:
    """Topics that no entry of the list covers; `+` stands for one operator's name."""
    heads = {topic.removesuffix("+") for topic in listed if topic.endswith("/+")}
    return {
        topic
        for topic in topics
        if topic not in listed and f"{topic.rpartition('/')[0]}/" not in heads
    }
