"""Fencing: of two boxes with one site only the newer speaks, whichever was there first.

    connect, subscribe to `fence` twice: what is retained there comes before the second answer
        a higher claim       -> fenced: nothing was said, nothing acknowledged, we end for good
        a lesser one, or none -> claim, then speak; alerts when they were read back (`read_back`)

Until then nothing else leaves and nothing that came is acknowledged, so a box that returns takes no
message away from the one that replaced it. Where our own claim is gone, because the broker forgot,
we claim at once and say nothing else for some seconds: a box that replaced us answers by then. With
two brokers all of it is on the one that we speak over; from the other nothing is taken before it
was heard there once. What comes meanwhile, and from whomever, makes none of these waits longer.

A claim counts only with the proof of somebody who has the key of the site's boxes (`fence_key`).
One that is said again by somebody who listened fences nobody: of another box it says what is true
for ever, that this one came after it or not, and of our own box it must answer the process that it
is to end, which only a process can that lives now.

The network thread calls `opened`, `closed`, `answered` and `take`; the loop calls `turn`.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from edge import logs
from edge.boxes.fence_key import keep_key
from edge.boxes.identity import (
    AHEAD_MAX,
    GENERATION_MAX,
    Box,
    Fenced,
    Rank,
    fenced_words,
    write_box,
)
from edge.boxes.inherit import learn
from edge.errors import ConfigError, JournalError
from edge.records import Note
from edge.storage.disk import CLOCK, DISK
from edge.wire.fence import FENCE_SCHEMA, FencePayload, decode_claim
from edge.wire.outgoing import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.boxes.fence_key import FenceKey
    from edge.boxes.inherit import Rows
    from edge.storage.disk import Clock, Disk
    from edge.wire.topics import Topics

log = logging.getLogger("andon")

ANSWERS: Final = 2  # of two subscriptions, behind which all that is retained has come
QUIET_S: Final = 0.1  # and behind the last answer: some brokers answer a little too early
# For a box that replaced us to come back and claim, where our own claim is gone. A client that has
# not heard the fence tries again after a second (`Link._back_off`), and each time that it comes we
# are sent away and begin to wait anew.
GRACE_S: Final = 5.0
RUN_BYTES: Final = 8  # of what tells two processes of one box apart
CLAIM_AGAIN_S: Final = 1.0  # between two answers to claims of lesser boxes
FORGED_TOLD_S: Final = 300.0  # behind the last message that no box of ours has made
KEEP_AGAIN_S: Final = 60.0  # until a key is written again that the disk did not take


class Sender(Protocol):
    """What a fence needs of a connection; `edge.brokers.link.Link` is one."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send; None when it was not taken."""


@dataclass(slots=True)
class _Heard:
    """What came over one connection. Written by the network thread, under the lock."""

    answers: int = 0
    moved_s: float = 0.0  # when it began, or an answer came last
    claims: int = 0  # that stood there, or came
    highest: FencePayload | None = None  # of other boxes
    others: int = 0  # of lesser ones, or a clearing, not looked at yet
    claimed: bool = False  # by us, while we wait; the loop's


class Fence:
    """Who speaks for the site: the guard of one process's connection. See the module."""

    def __init__(
        self,
        topics: Topics,
        box: Box,
        state: Path,
        key: FenceKey,
        *,
        disk: Disk = DISK,
        clock: Clock = CLOCK,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`box` is this one, `state` where that is written; `key` proves claims.

        token: draws one of so many bytes. Raises Fenced for a box that may not speak.
        """
        if why := fenced_words(box):
            with suppress(OSError):  # who wrote it may have ended before a power cut spares it
                disk.sync_directory(state)
            raise Fenced(why)
        self.box = box
        self.open = False  # whether we may speak over this connection
        self.heard = False  # whether we might over any, in this process
        self.refused_total = 0  # messages that no box of ours can have made
        self._topics, self._state, self._disk = topics, state, disk
        self._clock_s, self._wall_ns = clock.monotonic_s, clock.wall_ns
        self._key = key
        self._run, self._run_ms = token(RUN_BYTES), clock.wall_ns() // 1_000_000
        self._answers = ""  # the newest other process of this box that was heard
        self._refused_s: float | None = None  # when the last claim was refused
        self._lock = threading.Lock()
        self._heard = _Heard()
        self._unkept = False  # what is known of this box is in memory alone
        self._key_tried_s = clock.monotonic_s()  # when it was to be written
        self._claimed_s = -CLAIM_AGAIN_S

    @property
    def forged(self) -> str:
        """What is wrong while somebody claims who has no right to; "" nothing."""
        at_s = self._refused_s
        if at_s is None or self._clock_s() - at_s > FORGED_TOLD_S:
            return ""
        return (
            f"{self.refused_total} messages on {self.topic} that no box of this site has made,"
            " refused; somebody else may write there: see to the broker's access list"
            " (andon broker)"
        )

    # --- the network thread ---

    @property
    def topic(self) -> str:
        """Where boxes claim."""
        return self._topics.fence

    def opened(self) -> None:
        """A connection begins: nothing is known of it."""
        with self._lock:
            # but that another box is ahead of us: it may have sent us away before we looked
            before = self._heard.highest
            ahead = before is not None and _strength(before) > _strength(self._word())
            self._heard = _Heard(moved_s=self._clock_s(), highest=before if ahead else None)
            self.open = False

    def closed(self) -> None:
        """The connection has ended."""
        self.open = False

    def answered(self) -> None:
        """A subscription was answered."""
        with self._lock:
            self._heard.answers += 1
            self._heard.moved_s = self._clock_s()

    def take(self, topic: str, payload: bytes) -> bool:
        """Whether a message is for the fence, and not for the engine."""
        if topic != self._topics.fence:
            return False
        self._note(payload)
        return True

    def _note(self, payload: bytes) -> None:
        claim = decode_claim(payload)
        with self._lock:
            heard = self._heard
            if claim is None or not self._genuine(claim):
                heard.others += 1  # cleared, or overwritten: our own word stands there no more
                # nobody of ours clears it while we wait: it is to keep us from hearing what stood
                strange = not self._of_older_version(claim) if payload else not self.open
                if strange:
                    self.refused_total += 1
                    self._refused_s = self._clock_s()
                return
            # what we said while we waited tells nobody that we may speak
            heard.claims += claim.run != self._run or self.heard
            if claim.box == self.box.box:
                if claim.run == self._run:
                    return
                self._answers = claim.run
                if claim.to != self._run and _rank(claim) <= self.box.rank:
                    heard.others += 1
                    return  # of a process of this box before us, or said again by who listened
            heard.others += 1
            if heard.highest is None or _strength(claim) > _strength(heard.highest):
                heard.highest = claim

    def _genuine(self, claim: FencePayload) -> bool:
        """Whether a box of the site has made it, as far as we can know."""
        most = min(GENERATION_MAX, self.box.generation + AHEAD_MAX)
        if not 1 <= claim.generation <= most:
            return False
        # A key with which nobody has spoken is known to no other box: what stands there before we
        # do so for the first time counts as it always did.
        before = self._key.fresh and not self.heard
        return before or self._key.made(self._topics.fence, claim)

    def _of_older_version(self, claim: FencePayload | None) -> bool:
        """Whether it may be what this very box said before it had a key; that ends nobody."""
        ours = claim is not None and claim.box == self.box.box and not claim.mac
        return ours and not self.heard

    # --- the loop ---

    def turn(self, sender: Sender) -> None:
        """Look at what came, at each turn and before anything is said. Raises Fenced."""
        with self._lock:
            heard = self._heard
            highest, others, heard.others = heard.highest, heard.others, 0
            complete = heard.answers >= ANSWERS
            still = self._clock_s() - heard.moved_s
            known = heard.claims
        if highest is not None and _strength(highest) > _strength(self._word()):
            self._yield_to(highest)
        if self.open:
            if others and self._clock_s() - self._claimed_s >= CLAIM_AGAIN_S:
                self._claim(sender)
            if self._key.unkept and self._clock_s() - self._key_tried_s >= KEEP_AGAIN_S:
                self._keep_key()
            return
        if not complete or still < QUIET_S:
            return
        grace = self.box.claimed and not known
        if not grace or still >= GRACE_S:
            self.open = self.heard = True
            self._claim(sender)
        elif not heard.claimed:  # so that of two that wait in turn, each sent away by the other,
            heard.claimed = True  # one learns that it may speak, and the other that it may not
            self._claim(sender)

    def admits(self, sender: Sender) -> bool:
        """Whether a gateway that could not start may say that: a box that takes over may not."""
        if self.box.takes_over:
            return False
        with suppress(Fenced):
            self.turn(sender)
        return self.open

    def inherit(self, outbox: Rows, standing: Mapping[str, bytes], *, whole: bool) -> None:
        """What the box before has said since the backup is put into the outbox, and not said again.

        standing: what was read back of the broker; whole: all of it, so that no process after this
        one has to ask. Nothing for a box that was not restored.
        """
        if not self.box.takes_over:
            return
        fields: dict[str, str | int | float] = {
            "box": self.box.box,
            "generation": self.box.generation,
            "topics": len(standing),
        }
        try:
            found = learn(outbox, standing, until_row=self.box.outbox_row)
        except JournalError as error:  # what we say has other numbers all the same
            fields["cause"] = str(error)
            logs.write(log, Note(name="not_inherited", level="warning", fields=fields))
            return
        if whole:
            self._keep(msgspec.structs.replace(self.box, takes_over=False))
        fields |= {
            "newer_than_backup": found.newer,
            "delivered_by_the_old_box": found.delivered,
            "other_bytes": found.other_bytes,
        }
        logs.write(log, Note(name="took_over", level="warning", fields=fields))

    def _word(self) -> FencePayload:
        claim = FencePayload(
            schema=FENCE_SCHEMA,
            box=self.box.box,
            generation=self.box.generation,
            since_ms=self.box.since_ms,
            run=self._run,
            run_ms=self._run_ms,
            ts_ms=self._wall_ns() // 1_000_000,
            to=self._answers,
        )
        return self._key.sealed(self._topics.fence, claim)

    def _claim(self, sender: Sender) -> None:
        """Say that it is us."""
        self._claimed_s = self._clock_s()
        sender.publish(self._topics.fence, encode(self._word()), qos=1, retain=True)
        if not self.box.claimed or self._unkept:
            self._keep(msgspec.structs.replace(self.box, claimed=True))
        if self.heard and self._key.fresh:
            self._keep_key()

    def _yield_to(self, claim: FencePayload) -> None:
        """Give way to whoever is ahead of us, for good. Raises Fenced."""
        self.open = self.heard = False
        if claim.box == self.box.box:
            raise Fenced(
                f"another process speaks as this box ({claim.box}, since {claim.run_ms}, we since"
                f" {self._run_ms}): its disk was copied. Restore a backup instead of copying"
            )
        self._keep(msgspec.structs.replace(self.box, fenced_by=_rank(claim)))
        raise Fenced(fenced_words(self.box))

    def _keep(self, box: Box) -> None:
        """On the disk, or in memory while that fails; which is said elsewhere."""
        self.box, self._unkept = box, True
        with suppress(ConfigError):
            write_box(self._state, box, disk=self._disk)
            self._unkept = False

    def _keep_key(self) -> None:
        """Likewise; one that a backup made meanwhile counts, and we claim once more with it."""
        self._key_tried_s = self._clock_s()
        key = replace(self._key, fresh=self._key.fresh and not self.heard)
        with suppress(ConfigError):  # the file is no key by now: `andon check` tells
            key = keep_key(self._state, key, disk=self._disk)
        with self._lock:
            self._heard.others += key.secret != self._key.secret
            self._key = key


def _rank(claim: FencePayload) -> Rank:
    return Rank(generation=claim.generation, since_ms=claim.since_ms, box=claim.box)


def _strength(claim: FencePayload) -> tuple[int, int, str, int, str]:
    """Of two claims the higher counts: of two processes of one box, the one that was first."""
    return (claim.generation, claim.since_ms, claim.box, -claim.run_ms, claim.run)
