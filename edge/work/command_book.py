"""The book of commands: which were taken or refused while they may come again.

A command says when it was sent and is stale minutes later; until then the same one may come again,
sent by somebody who listened. So it is remembered by what it says, not by its bytes: blanks, the
order of keys and another encoding of a signature make no other command of it. What was refused is
remembered as well: its sender was told no, so it must not be carried out when its time has come, or
when the disk works again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import WireError
from edge.wire.commands import STALE_NS, Command

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.records import MessageReceived

OF_ONE_MAX: Final = 512  # commands of one operator that are remembered: in ten minutes one a second
REMEMBERED_MAX: Final = 8_192  # of all operators
# Of one operator that came before their time, and so are remembered for longer than minutes. Beyond
# it those go first that keep nothing quiet, then the furthest away. Where signatures are required
# only who can sign in this name can fill it.
EARLY_OF_ONE_MAX: Final = 64
HOUR_NS: Final = 3_600 * 1_000_000_000
# Refusals in the audit trail in an hour; the others are counted. Otherwise whoever may send a
# command could push everything older out of it.
REFUSALS_AUDITED_MAX: Final = 60
DETAIL_CHARS_MAX: Final = 300
MILLISECOND_NS: Final = 1_000_000


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was taken, or refused. until_ns: plant time from which on it would be stale.

    early: it came before its time. quiet: it may keep something quiet.
    """

    digest: bytes
    until_ns: int
    done: bool
    early: bool = False
    quiet: bool = False


class CommandBook(msgspec.Struct, kw_only=True):
    """What is remembered of commands: by operator what was taken, and when refusals were audited.

    unaudited: refusals since the newest audited one that only a counter knows.
    """

    taken: dict[str, list[Taken]] = {}
    refusals_ns: list[int] = []
    unaudited: int = 0

    def before(self, command: Command, *, now_ns: int, dup: bool) -> Taken | None:
        """The same command, taken before; None: it is new.

        dup: as the broker says, who repeats what it did not see acknowledged. Raises WireError for
        one that somebody sends again, and for an operator who has sent more than anybody means to.
        """
        mine = self.taken.get(command.operator, [])
        mine[:] = [one for one in mine if one.until_ns >= now_ns]
        if not mine:
            self.taken.pop(command.operator, None)
        digest = digest_of(command)
        before = next((one for one in mine if one.digest == digest), None)
        if before is not None and not dup:
            what = "carried out" if before.done else "refused" if before.early else "answered"
            message = f"this very command was {what} already; send one with a ts of its own"
            raise WireError(message, reason="command_replayed", topic=command.topic)
        if sum(not one.early for one in mine) >= OF_ONE_MAX:
            minutes = 2 * STALE_NS // (60 * 1_000_000_000)
            message = f"{OF_ONE_MAX} commands of {command.operator} within {minutes} min; wait"
            raise WireError(message, reason="command_too_many", topic=command.topic)
        return before

    def note(
        self, command: Command, *, done: bool, listed: frozenset[str], early: bool = False
    ) -> None:
        """Remember a command that was taken or refused; one that is known already stays as it is.

        listed: operators that the configuration names. Where all places are taken, the operator
        with most gives its oldest, strangers first: who floods makes only its own commands
        repeatable.
        """
        mine = self.taken.setdefault(command.operator, [])
        one = Taken(
            digest=digest_of(command),
            until_ns=command.body.ts * MILLISECOND_NS + STALE_NS,
            done=done,
            early=early,
            quiet=command.keeps_quiet,
        )
        if any(other.digest == one.digest for other in mine):
            return
        mine.append(one)
        ahead = [other for other in mine if other.early]
        if len(ahead) > EARLY_OF_ONE_MAX:
            mine.remove(max(ahead, key=lambda other: (not other.quiet, other.until_ns)))
        if sum(map(len, self.taken.values())) > REMEMBERED_MAX:
            others = self.taken.items()
            most = max(others, key=lambda item: (item[0] not in listed, len(item[1])))[0]
            del self.taken[most][0]
            if not self.taken[most]:
                del self.taken[most]

    def refused(
        self, message: MessageReceived, operator: str, name: str, refusal: Refusal, *, desk: Desk
    ) -> None:
        """Note in the audit trail what was to keep something quiet, and was refused or not done."""
        t_ns = refusal.t_ns
        self.refusals_ns = [one for one in self.refusals_ns if t_ns - HOUR_NS < one <= t_ns]
        if len(self.refusals_ns) >= REFUSALS_AUDITED_MAX:
            self.unaudited += 1
            return
        self.refusals_ns.append(t_ns)
        facts: dict[str, str | int] = {"operator": operator, "command": name, "rule": refusal.rule}
        if self.unaudited:
            facts["unaudited"] = self.unaudited
        if message.retain:
            facts["retained"] = 1
        self.unaudited = 0
        detail = refusal.detail[:DETAIL_CHARS_MAX]
        desk.audited("command_refused", asset=refusal.asset, t_ns=t_ns, detail=detail, **facts)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command was refused. asset: that it names, "" none. t_ns: plant time."""

    rule: str
    detail: str
    asset: str
    t_ns: int


def digest_of(command: Command) -> bytes:
    """What tells a command from every other: where it was sent, and what it says."""
    said = msgspec.json.encode(command.body, order="deterministic")
    return hashlib.sha256(command.topic.encode() + b"\n" + said).digest()[:16]


def may_silence(name: str, command: Command | None) -> bool:
    """Whether a command was to keep something quiet; one that cannot be read, by its name alone."""
    if command is not None:
        return command.keeps_quiet
    return name in ("confirm", "job", "shelve", "oos")
