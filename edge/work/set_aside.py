"""Topics set aside: one whose messages fail to decode too often is not read for a while.

A source that sends rubbish costs its decoding again and again, and everybody else waits. From
FAILURES_MAX within a minute on, and more than were good, its topic is set aside: of its messages
only one a second is still tried, and it comes back when PROBES_GOOD in a row were good. It begins
with a hundredth of that and waits twice as long with each failure, so that a short burst costs few
good ones, also in a backlog that is taken within seconds. Who fails again soon is tried less often,
at least once a minute. Times are those at which messages came, so a
journal decides the same again. Commands and clock tags are never set aside: they are small.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from edge.records import DeadLetter
from edge.wire.topics import CLOCK_TOPIC, match_source
from edge.work.refusals import refused
from edge.work.shed import unread

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.errors import WireError
    from edge.records import MessageReceived
    from edge.state import EngineState
    from edge.wire.topics import Topics

SECOND_NS: Final = 1_000_000_000
FAILURES_MAX: Final = 20
WINDOW_NS: Final = 60 * SECOND_NS
PROBE_NS: Final = SECOND_NS
PROBE_NS_MAX: Final = 60 * SECOND_NS
PROBES_GOOD: Final = 5
PROBE_FIRST: Final = 100  # part of the longest wait with which it begins
RELAPSE_NS: Final = 600 * SECOND_NS  # who fails again within this is tried half as often
TOPICS_MAX: Final = 1_024  # watched at a time
TOPIC_CHARS_MAX: Final = 256  # of a name; longer ones are known by their hash
LETTER_BYTES_MAX: Final = 4_096  # of a payload that is kept
LETTER_EVERY: Final = 100  # of the messages that are not read


class TopicErrors(msgspec.Struct, kw_only=True):
    """What is known of a topic with failures. aside_ns: since when it is set aside, 0: it is not.

    failed, good: messages since `begin_ns`. skipped: not read since it was set aside. probe_ns: the
    longest wait between two that are tried, wait_ns: the newest.
    """

    begin_ns: int
    failed: int = 0
    good: int = 0
    aside_ns: int = 0
    back_ns: int = 0
    probe_ns: int = PROBE_NS
    wait_ns: int = PROBE_NS
    probe_due_ns: int = 0
    probes_good: int = 0
    skipped: int = 0
    reason: str = ""


class SetAside:
    """Which topics are not read now; one object an engine, over what its state remembers."""

    def __init__(self, state: EngineState, *, desk: Desk, topics: Topics) -> None:
        self._state, self._topics = state, state.topic_errors
        self._desk = desk
        self._exempt = (f"{topics.root}/cmd/", CLOCK_TOPIC)

    def skips(self, message: MessageReceived) -> bool:
        """Whether a message is not to be read; it is counted then, and a few are kept."""
        if not self._topics:
            return False
        found = self._topics.get(_name(message.topic))
        if found is None or not found.aside_ns:
            return False
        now_ns = message.received_ns
        if now_ns >= found.probe_due_ns or found.probe_due_ns > now_ns + 2 * found.probe_ns:
            found.probe_due_ns = now_ns + found.wait_ns
            return False
        if found.skipped % LETTER_EVERY == 0:
            self._letter(message, "set_aside")
        found.skipped += 1
        self._count("set_aside")
        source = match_source(message.topic, self._desk.settings.source)
        asset = source[1] if source else ""
        self._desk.before((asset,))
        unread(asset, message.topic, state=self._state)
        self._desk.stirred.add(asset)
        return True

    def was_good(self, message: MessageReceived) -> None:
        """A message could be read."""
        found = self._topics.get(_name(message.topic)) if self._topics else None
        if found is None:
            return
        if not found.aside_ns:
            found.good += 1
            return
        found.probes_good += 1
        found.probe_due_ns = message.received_ns  # it may be mended: the next one shows
        if found.probes_good >= PROBES_GOOD:
            self._desk.note("topic_read_again", topic=_name(message.topic), skipped=found.skipped)
            found.aside_ns, found.back_ns = 0, message.received_ns
            found.begin_ns, found.failed, found.good = message.received_ns, 0, 0

    def was_refused(self, message: MessageReceived, error: WireError) -> None:
        """A message could not be read: it is counted, kept, and counts against its topic."""
        refused(error, state=self._state, desk=self._desk)
        if message.topic.startswith(self._exempt[0]):
            return
        self._letter(message, error.reason)
        if message.topic == self._exempt[1]:
            return
        name, now_ns = _name(message.topic), message.received_ns
        found = self._topics.get(name)
        if found is None:
            if len(self._topics) >= TOPICS_MAX and not self._forget_one():
                self._count("topics_unwatched")
                return
            found = self._topics[name] = TopicErrors(begin_ns=now_ns)
        if not 0 <= now_ns - found.begin_ns <= WINDOW_NS:
            found.begin_ns, found.failed, found.good = now_ns, 0, 0
        found.failed += 1
        found.reason, found.probes_good = error.reason, 0
        if found.aside_ns:
            found.wait_ns = min(2 * found.wait_ns, found.probe_ns)
            found.probe_due_ns = now_ns + found.wait_ns
        elif found.failed >= FAILURES_MAX and found.failed > found.good:
            relapsed = found.back_ns and now_ns - found.back_ns < RELAPSE_NS
            found.probe_ns = min(2 * found.probe_ns, PROBE_NS_MAX) if relapsed else PROBE_NS
            found.aside_ns, found.skipped = max(now_ns, 1), 0
            found.wait_ns = found.probe_ns // PROBE_FIRST
            found.probe_due_ns = now_ns + found.wait_ns
            self._count("topics_set_aside")
            self._desk.note(
                "topic_set_aside", level="warning", topic=name, reason=error.reason,
                tried_every_s=found.probe_ns // SECOND_NS,
            )  # fmt: skip

    def _forget_one(self) -> bool:
        """Make room: what began longest ago and is not set aside; False: all are."""
        kept = [name for name, one in self._topics.items() if not one.aside_ns]
        if kept:
            del self._topics[min(kept, key=lambda name: self._topics[name].begin_ns)]
        return bool(kept)

    def _letter(self, message: MessageReceived, reason: str) -> None:
        self._desk.effects.append(
            DeadLetter(
                topic=message.topic[:TOPIC_CHARS_MAX],
                reason=reason,
                payload=message.payload[:LETTER_BYTES_MAX],
                size_bytes=len(message.payload),
                t_ns=message.received_ns,
            )
        )

    def _count(self, name: str) -> None:
        self._state.counts[name] = self._state.counts.get(name, 0) + 1


def set_aside_now(state: EngineState) -> dict[str, TopicErrors]:
    """The topics that are not read now, by name."""
    return {name: one for name, one in state.topic_errors.items() if one.aside_ns}


def _name(topic: str) -> str:
    if len(topic) <= TOPIC_CHARS_MAX:
        return topic
    digest = hashlib.sha256(topic.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{topic[: TOPIC_CHARS_MAX - 20]}...{digest}"
