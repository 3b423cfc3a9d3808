"""How much of the audit trail commands may fill: else accepted ones push out what stands there.

The trail keeps so many bytes. Whoever may send commands could fill it with harmless ones until the
line that tells on him is gone. So each command that leaves lines is charged, by operator and for
all of them together, and what is charged fades within a day. Beyond the budget a command is refused
instead of a line dropped. What ends a silence or a job is always taken: there is one for each that
began, and it only makes louder.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.errors import WireError
from edge.wire.commands import ENDS, Ack, Command, Feedback, Text

DAY_NS: Final = 86_400 * 1_000_000_000
OF_ONE_BYTES: Final = 384 << 10  # of an operator in a day: some 230 silences, or 500 acknowledged
# Of all together. The default trail of 64 MiB then holds three weeks of the worst that anybody can
# send, refusals included (`command_book.REFUSALS_AUDITED_MAX`).
OF_ALL_BYTES: Final = 1 << 20
LINE_BYTES: Final = 500  # of a line, without what the command says
LINES: Final = 3  # of what keeps something quiet: said, begun, over
STRANGERS: Final = ""  # operators that no configuration lists count as one: names cost nothing
AUDIT_FULL: Final = "audit_full"  # the fault's name


class Spent(msgspec.Struct, kw_only=True):
    """What was charged, as it stood at a time of the plant."""

    charged_bytes: float = 0.0
    t_ns: int = 0

    def at(self, now_ns: int, budget_bytes: int) -> float:
        """What is left of it, after it has faded by a budget a day.

        Charged by a clock that was ahead and was put right, it fades from now on.
        """
        self.t_ns = min(self.t_ns, now_ns)
        gone = (now_ns - self.t_ns) / DAY_NS * budget_bytes
        return max(self.charged_bytes - gone, 0.0)

    def charge(self, cost_bytes: int, now_ns: int, budget_bytes: int) -> None:
        """Add to it."""
        self.charged_bytes = self.at(now_ns, budget_bytes) + cost_bytes
        self.t_ns = now_ns


class AuditBudget(msgspec.Struct, kw_only=True):
    """By operator, and for all. refused_ns: when a command was refused for it, 0 never."""

    of_one: dict[str, Spent] = {}
    of_all: Spent = msgspec.field(default_factory=Spent)
    refused_ns: int = 0
    refused_of: str = ""

    def check(self, command: Command, *, listed: frozenset[str], now_ns: int) -> None:
        """Raise WireError for a command that would fill the trail beyond the budget."""
        if not cost_bytes(command):
            return
        who = command.operator if command.operator in listed else STRANGERS
        spent = self.of_one.get(who, Spent()).at(now_ns, OF_ONE_BYTES)
        # An acknowledgement answers an alert, once: what others have spent does not keep it back.
        mine = spent >= OF_ONE_BYTES and not isinstance(command.body, Ack)
        if not mine and self.of_all.at(now_ns, OF_ALL_BYTES) < OF_ALL_BYTES:
            return
        one = who or "operators whom the configuration does not list"
        whose = one if mine else "all operators"
        budget_kib = (OF_ONE_BYTES if mine else OF_ALL_BYTES) >> 10
        self.refused_ns, self.refused_of = now_ns, whose
        message = (
            f"the commands of {whose} have filled what they may of the audit trail"
            f" ({budget_kib} KiB a day); older lines are not dropped for more. Wait, or send fewer"
        )
        raise WireError(message, reason="command_audit_full", topic=command.topic)

    def charge(self, command: Command, *, listed: frozenset[str], now_ns: int) -> None:
        """A command was carried out, and its lines will stand in the trail."""
        if cost := cost_bytes(command):
            who = command.operator if command.operator in listed else STRANGERS
            self.of_one.setdefault(who, Spent()).charge(cost, now_ns, OF_ONE_BYTES)
            self.of_all.charge(cost, now_ns, OF_ALL_BYTES)

    def words(self, now_ns: int) -> str:
        """What is wrong while commands are refused for the trail's sake; "" nothing."""
        if not self.refused_ns or not 0 <= now_ns - self.refused_ns <= DAY_NS // 24:
            return ""
        return (
            f"the commands of {self.refused_of} have filled what they may of the audit trail; more"
            " are refused instead of dropping older lines. See who sends them: andon audit show"
        )


def cost_bytes(command: Command) -> int:
    """How much of the trail a command fills, at most, bytes; 0: it leaves no line, or ends one."""
    body = command.body
    if isinstance(body, Feedback | Text) or getattr(body, "action", "") in ENDS:
        return 0
    said = len(msgspec.json.encode(body))
    return LINE_BYTES + said if isinstance(body, Ack) else LINES * (LINE_BYTES + said)
