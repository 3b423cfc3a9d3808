"""An asset that is gone: what is retained of it at the broker is ended, then cleared.

    retired.jsonl     below [journal] dir, one line a word, each bound to the one before

People write it, the gateway follows within seconds, or at its next start. First each topic gets a
last state that every dashboard can read (NORMAL, an empty list), then, once that was confirmed, the
empty payload with which a broker forgets it. Both go through the outbox, so they are said across
crash and outage, once; what stood there before is not said again to a broker that forgot it.
"""

from __future__ import annotations

import getpass
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from edge.audit.chain import audit_directory, records
from edge.bundles.store import store_of
from edge.configuration.words import hint
from edge.errors import UNREADABLE, ConfigError, JournalError
from edge.records import Audited, Publish
from edge.storage.outbox_table import guarded
from edge.storage.sealed_chain import Sealed, SealedChain
from edge.wire import outgoing
from edge.wire.topics import Topics, is_asset_id
from models.bundles.store import load as load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.storage.outbox_table import OutboxRow
    from edge.storage.standby import StandbyOutbox
    from models.bundles.bundle import Bundle

FILE: Final = "retired.jsonl"
TRACKS: Final = ("process", "sensor", "comms")


class Word(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line. until_row: newest row of the outbox when it was said; what came later stays.

    clear: forget the topics, not only end them. commissioned: it may have stood on its way into
    service.
    """

    asset: str
    by: str
    because: str
    at_ns: int
    until_row: int
    clear: bool = True
    commissioned: bool = False
    sha256: str = ""


def retire(
    config: GatewayConfig, asset: str, *, by: str, because: str, until_row: int, clear: bool = True
) -> Word:
    """Write a person's word on an asset that is gone. Raises ConfigError."""
    if not is_asset_id(asset) or asset.startswith("_"):
        raise ConfigError(f"{asset!r} is no asset's id")
    book = _book(config.path(config.journal.dir))
    word = Word(
        asset=asset,
        by=by or getpass.getuser(),
        because=because,
        at_ns=time.time_ns(),
        until_row=until_row,
        clear=clear,
        commissioned=config.commissioning is not None,
    )
    with book.alone():
        return book.add([word])[0]


def known_as(config: GatewayConfig, asset: str) -> str:
    """As what an asset is still there, in words; "": it is gone. Raises ConfigError."""
    if any(one.id == asset for one in config.asset):
        return "configured"
    sha256, path = store_of(config).current()
    if sha256:  # else it learns its first
        bundle = load_bundle(path)
        if any(model.asset == asset for model in bundle.assets):
            return f"scored by the bundle {bundle.sha256[:12]}"
    return ""


def never_known(config: GatewayConfig, asset: str) -> str:
    """Why nobody here can have meant an asset of that id, in words; "": it was known once.

    By the alerts in the outbox, the audit trail, or an earlier word. Raises ConfigError.
    """
    state = config.path(config.journal.dir)
    known = {word.asset for word in _book(state).whole()}
    known |= {topic.rsplit("/", 2)[-2] for topic in _topics_said(state) if "/alert/" in topic}
    with suppress(JournalError):  # no trail, or none that can be read
        known |= {record.asset for record in records(audit_directory(config))}
    known = {one for one in known if one and not one.startswith("_")}
    if asset in known:
        return ""
    known |= {one.id for one in config.asset}
    return f"nothing is known of an asset {asset!r}{hint(asset, sorted(known)) if known else ''}"


def _topics_said(state: Path) -> list[str]:
    outbox = state / "outbox.sqlite"
    if not outbox.exists():
        return []
    try:
        with closing(guarded(sqlite3.connect(outbox))) as database:
            found = database.execute("SELECT DISTINCT topic FROM outbox").fetchall()
    except (sqlite3.Error, *UNREADABLE) as error:  # as below
        raise ConfigError(f"{outbox}: {error}") from error
    return [str(topic) for (topic,) in found]


def newest_row(state: Path) -> int:
    """The newest row of a gateway's outbox; 0 where there is none. Raises ConfigError."""
    outbox = state / "outbox.sqlite"
    if not outbox.exists():
        return 0
    try:
        with closing(guarded(sqlite3.connect(outbox))) as database:
            ((row,),) = database.execute("SELECT coalesce(max(row), 0) FROM outbox").fetchall()
    except (sqlite3.Error, *UNREADABLE) as error:  # also of names that are no text
        raise ConfigError(f"{outbox}: {error}") from error
    return int(row)


class Retirement:
    """Follows the book, for one loop."""

    def __init__(self, state: Path, topics: Topics, outbox: StandbyOutbox) -> None:
        self.trouble = ""
        self._book = _book(state)
        self._topics, self._outbox = topics, outbox
        self._seen: tuple[int, int] | None = None
        self.words: list[Word] = []  # in the book

    def look(self) -> list[Audited | Publish]:
        """What is to be kept and said of words that came; mostly nothing. Costs a look at a file.

        Raises JournalError.
        """
        try:
            stat = self._book.path.stat()
            seen = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            return []
        # What an outbox that is waited for does not tell would be taken for nothing to end.
        if seen == self._seen or not self._outbox.answers:
            return []
        try:
            words = self._book.whole()
        except ConfigError as error:
            self.trouble = str(error)
            return []
        self.trouble, self._seen, self.words = "", seen, words
        newest = {word.asset: word for word in words}  # said once more: what was before is in it
        return [effect for word in newest.values() for effect in self._effects(word)]

    def _effects(self, word: Word) -> list[Audited | Publish]:
        said = last_words(word, self._topics, self._outbox)
        if not said:
            return []
        facts: dict[str, str | int] = {
            "operator": word.by,
            "detail": word.because,
            "topics": len({one.topic for one in said}),
        }
        return [Audited(what="retired", asset=word.asset, t_ns=word.at_ns, facts=facts), *said]


def last_words(word: Word, topics: Topics, outbox: StandbyOutbox) -> list[Publish]:
    """What is still to be said on the topics of a retired asset, in order."""
    said: list[Publish] = []
    for row in outbox.last_words([topics.alert(word.asset, track) for track in TRACKS]):
        if row.row > word.until_row:
            continue
        if row.payload:
            said += _ended_alert(row, word, outbox)
        elif word.clear and (key := outbox.newest(row.topic)) is not None:
            # Cleared before, and a person says so once more: a broker may have denied it.
            said.append(_last(row.topic, b"", (key[0], key[1] + 1)))
    own = f"retired-{word.asset}-{word.at_ns}"
    for topic, payload in _lists(word, topics):
        contents = [payload, b""] if payload and word.clear else [payload]
        if outbox.newest(topic) != (own, len(contents)):
            said += [_last(topic, one, (own, i)) for i, one in enumerate(contents, 1)]
    return said


def still_said(retained: Iterable[Publish], topics: Topics, bundle: Bundle) -> Iterator[Publish]:
    """Of retained lists those whose asset is still there: one that left is not said again."""
    heads = [f"{topics.root}/{kind}/" for kind in ("job", "commissioning")]
    there = {f"{head}{model.asset}" for model in bundle.assets for head in heads}
    for message in retained:
        if message.topic in there or not message.topic.startswith(tuple(heads)):
            yield message


def retired_topics(state: Path, topics: Topics) -> list[str]:
    """Where a gateway may have to say that an asset was retired; none where none can be read."""
    words: list[Word] = []
    with suppress(ConfigError):
        words = _book(state).read().lines
    return [
        topic
        for word in words
        for topic in (
            *(topics.alert(word.asset, track) for track in TRACKS),
            *(topic for topic, _ in _lists(word, topics)),
        )
    ]


def _ended_alert(row: OutboxRow, word: Word, outbox: StandbyOutbox) -> list[Publish]:
    key = outbox.newest(row.topic)
    assert key is not None, "it stands"
    alert_id, revision = key
    try:
        stands = msgspec.json.decode(row.payload, type=outgoing.AlertPayload)
    except UNREADABLE:  # of another version, whose fields we do not know
        return [_last(row.topic, b"", (alert_id, revision + 1))] if word.clear else []
    message = f"{word.asset} was retired by {word.by}"
    message += f": {word.because}" if word.because else ""
    if stands.message == message:
        return []
    ended = msgspec.structs.replace(
        stands,
        revision=revision + 1,
        state="NORMAL",
        active=0,
        acked=1,
        suppressed=0,
        shelved=0,
        out_of_service=0,
        suppressed_or_shelved=0,
        annunciate=0,
        rings_again_ms=None,
        message=message,
    )
    said = [_last(row.topic, outgoing.encode(ended), (alert_id, revision + 1))]
    return [*said, _last(row.topic, b"", (alert_id, revision + 2))] if word.clear else said


def _lists(word: Word, topics: Topics) -> list[tuple[str, bytes]]:
    """Retained topics without an id, and the empty list that ends each."""
    at_ms = word.at_ns // 1_000_000
    jobs = outgoing.JobsPayload(asset=word.asset, ts_ms=at_ms, jobs=(), proposals=())
    lists = [(topics.job(word.asset), outgoing.encode(jobs))]
    return [*lists, (topics.commissioning(word.asset), b"")] if word.commissioned else lists


def _last(topic: str, payload: bytes, key: tuple[str, int]) -> Publish:
    return Publish(topic=topic, payload=payload, qos=1, retain=True, key=key)


def _book(state: Path) -> SealedChain[Word]:
    return SealedChain(state / FILE, Word, lock=state)
