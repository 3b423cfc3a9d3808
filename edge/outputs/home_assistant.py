"""Home Assistant: retained messages by which it finds our topics, and what of them is to go again.

    home_assistant.json     below [journal] dir: topics where the broker may hold such messages

An asset that is gone leaves its entities at the broker for ever unless they are cleared, also when
it went while nobody ran; so what was said is written down before it is said.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.annunciate import known_causes
from edge.alerts.causes import topic_of
from edge.errors import UNREADABLE
from edge.outputs.discovery import Discovery
from edge.outputs.output import Tally
from edge.records import Publish
from edge.storage.disk import DISK, write_whole
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.assembly.assembly import Assembly
    from edge.configuration.config import GatewayConfig
    from edge.storage.disk import Disk

BOOK: Final = "home_assistant.json"
BOOK_BYTES_MAX: Final = 64 << 20
WRITE_S_MAX: Final = 1.0  # that a close waits for the book


def discovery_topics(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    """Every topic that this output publishes, those of assets that were there before included."""
    told = _discovery(config)
    causes = _causes(config, assets)
    now = told.messages(assets, causes) if told is not None else {}
    return list(dict.fromkeys([*now, *_read(config.path(config.journal.dir) / BOOK)]))


def _discovery(config: GatewayConfig, version: str = "") -> Discovery | None:
    home = config.output.home_assistant
    if home is None:
        return None
    topics = Topics(config.prefix, config.site)
    return Discovery(topics, prefix=home.prefix, version=version)


def _causes(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    return [topic_of(cause) for cause in known_causes(config.asset, assets)]


def is_owed(config: GatewayConfig) -> bool:
    """Whether something is to be said, or to be cleared since it was said before."""
    book = config.path(config.journal.dir) / BOOK
    return config.output.home_assistant is not None or book.is_file()


class HomeAssistant:
    """For one loop; follows the bundle in service."""

    name = "home_assistant"

    def __init__(self, config: GatewayConfig, assembly: Assembly, *, disk: Disk = DISK) -> None:
        """Nothing is said before there is a connection."""
        self.tally = Tally()
        self.owed: deque[Publish] = deque()
        self._config, self._assembly, self._disk = config, assembly, disk
        self._discovery = _discovery(config, assembly.version)
        self._book = config.path(config.journal.dir) / BOOK
        self._told = frozenset(_read(self._book))  # that the broker may hold
        self._of: object = None  # the bundle that `_messages` are of
        self._messages: dict[str, bytes] = {}
        self._writing: threading.Thread | None = None

    def said(self, topic: str, payload: bytes) -> None:
        """What is published changes nothing about who there is."""

    def connected(self) -> None:
        """Say all of it again."""
        self._of = None

    def away(self) -> None:
        """All of it is said again with the next connection."""

    def turn(self) -> None:
        """Follow the bundle."""
        bundle = self._assembly.bundle
        if bundle is self._of:
            return
        self._of = bundle
        assets = [model.asset for model in bundle.assets]
        if self._discovery is not None:
            self._messages = self._discovery.messages(assets, _causes(self._config, assets))
        self._write(self._told | frozenset(self._messages))
        gone = sorted(self._told - self._messages.keys())
        self.owed = deque(
            Publish(topic=topic, payload=payload, qos=1, retain=True)
            for topic, payload in [*((topic, b"") for topic in gone), *self._messages.items()]
        )

    def close(self) -> None:
        """What was cleared needs no clearing by the next process."""
        if self._writing is not None:
            self._writing.join(WRITE_S_MAX)
        if self._of is not None and not self.owed:
            self._write(frozenset(self._messages))
        if self._writing is not None:
            self._writing.join(WRITE_S_MAX)

    def _write(self, topics: frozenset[str]) -> None:
        """Beside the loop: a disk may take its time."""
        if topics == self._told:
            return
        before, self._told = self._writing, topics

        def write() -> None:
            if before is not None:
                before.join()
            try:
                _keep(self._disk, self._book, topics)
            except OSError as error:
                self.tally.failed += 1
                self.tally.cause = f"{self._book}: {error.strerror}"

        self._writing = threading.Thread(target=write, name=self.name, daemon=True)
        self._writing.start()


def _keep(disk: Disk, book: Path, topics: Iterable[str]) -> None:
    """Write the book anew, or remove it where nothing stands in it. Raises OSError."""
    listed = sorted(topics)
    if not listed:
        book.unlink(missing_ok=True)
        return
    fresh = book.with_name(f"{BOOK}.new")
    file = disk.open(fresh, "wb")
    try:
        write_whole(disk, file, msgspec.json.encode(listed))
        disk.sync(file)
    finally:
        file.close()
    disk.replace(fresh, book)


def _read(book: Path) -> list[str]:
    """Topics of the book; none where there is none that can be read: they are said anew anyway."""
    try:
        if book.stat().st_size > BOOK_BYTES_MAX:
            return []
        found = msgspec.json.decode(book.read_bytes(), type=list[str])
    except (OSError, *UNREADABLE):
        return []
    return [topic for topic in found if topic.endswith("/config")]
