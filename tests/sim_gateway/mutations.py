"""Bugs planted in the product, one at a time, and how many seeds it takes until one is noticed.

    python -m tests.sim_gateway.mutations           all of them
    python -m tests.sim_gateway.mutations acked ..  some, by name

Each is a mistake that somebody could make in a change of one line or two.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from edge.asset import Asset
from edge.audit.trail import AuditTrail
from edge.boxes.fencing import Fence
from edge.brokers import delivery
from edge.brokers.delivery import Delivery
from edge.brokers.inbox import Inbox
from edge.brokers.link import Link
from edge.engine import Engine
from edge.gateway.app import Gateway
from edge.gateway.durable import Durable
from edge.gateway.lapse import Lapse
from edge.gateway.redelivery import Redelivery
from edge.samples.align import Aligner
from edge.storage import mending, restore
from edge.storage.journal_writer import JournalWriter
from edge.storage.notebook import Notebook
from edge.storage.outbox import Outbox
from edge.storage.patience import Patience
from edge.storage.standby import StandbyOutbox
from edge.work import anew, durable
from tests.sim_gateway import planted
from tests.sim_gateway.life import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


SEEDS_MAX: Final = 200
FIRST: Final = 100_000  # apart from the seeds that must pass


@contextmanager
def _instead(holder: object, name: str, put: Callable[[Any], Any]) -> Iterator[None]:
    """Another attribute, made from the real one."""
    with mock.patch.object(holder, name, put(getattr(holder, name))):
        yield


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: where it is, and what it puts there."""

    name: str
    holder: object
    attribute: str
    put: Callable[[Any], Any]

    def planted(self) -> AbstractContextManager[None]:
        """While it is there."""
        return _instead(self.holder, self.attribute, self.put)

    def seeds(self, limit: int = SEEDS_MAX) -> tuple[int, str]:
        """(seeds until one fails, why); 0: none of them did."""
        with self.planted():
            for count in range(1, limit + 1):
                if problem := live(FIRST + count).problem:
                    return count, problem
        return 0, ""


MUTATIONS: Final = (
    Mutation("acked before it is journaled", Gateway, "_take", planted.acked),
    Mutation("outbox before the journal is synced", Durable, "keep", planted.unsynced),
    Mutation("audited behind the alert", Durable, "keep", planted.audited_late),
    Mutation("audit not synced", AuditTrail, "_append", planted.audit_unsynced),
    Mutation("a checkpoint ahead of the journal", Durable, "go_on", planted.ahead),
    Mutation("replay skips a record", restore, "read_journal", planted.one_more),
    Mutation("replay from the beginning", restore, "read_journal", planted.twice),
    Mutation("outbox without a check of keys", Outbox, "_bytes_of", planted.any_key),
    Mutation("nothing said again", Delivery, "say_again", planted.not_again),
    Mutation("an older word said again", Outbox, "standing", planted.older),
    Mutation("a clause is passed over", Engine, "__init__", planted.one_passed_over),
    Mutation("delivered when sent", Delivery, "_send", planted.delivered_when_sent),
    Mutation("never synced by time", JournalWriter, "__init__", planted.not_strict),
    Mutation("an unknown clause holds", Engine, "__init__", planted.unknown_holds),
    Mutation("two revisions in flight", delivery, "whose", planted.two_at_once),
    Mutation("shed and not acknowledged", Link, "_queue", planted.kept_unacknowledged),
    Mutation("shed and not counted", Inbox, "put", planted.shed_untold),
    Mutation("a lapse that the engine is not told", Lapse, "told", planted.untold),
    Mutation("revisions do not leap", durable, "leap", planted.no_leap),
    Mutation("locked out by itself", Patience, "opened", planted.locked_out),
    Mutation("whole records behind damage are lost", mending, "salvaged", planted.skips_damage),
    Mutation("an engine that is not pure", Engine, "handle_group", planted.moody),
    Mutation("a fence that is ignored", Fence, "_yield_to", planted.goes_on),
    Mutation("a fence that is forgotten", Fence, "_keep", planted.not_kept),
    Mutation("it speaks before it may", Fence, "opened", planted.speaks_at_once),
    Mutation("no memory of what was taken", Redelivery, "remember", planted.no_memory),
    Mutation("quiet without an audit", Durable, "_settle", planted.quiet_all_the_same),
    Mutation("texts not synced", Notebook, "sync", planted.texts_unsynced),
    Mutation("quiet while not durable", Asset, "doubt", planted.no_doubt),
    Mutation("quiet by a scope that is gone", anew, "judge", planted.not_judged),
    Mutation("what is withheld is said", StandbyOutbox, "withhold", planted.withheld_said),
    Mutation("a sync behind a failed one", JournalWriter, "syncing", planted.sync_again),
    Mutation("a row behind a late one is lost", Aligner, "_push_block", planted.newest_lost),
    Mutation("journaled and not given", Gateway, "_give", planted.not_given),
    Mutation("no old segment is dropped", JournalWriter, "_retain", planted.never_dropped),
    Mutation("a full outbox takes more", Outbox, "_give_up", planted.nothing_given_up),
    Mutation("a full memory takes more", StandbyOutbox, "_bound", planted.never_dropped),
    Mutation("memory dropped, the disk refused", Outbox, "adopt", planted.moved_all_the_same),
    Mutation("a failed disk is looked at once", Lapse, "probe_due", planted.looked_at_once),
)
assert len({one.name for one in MUTATIONS}) == len(MUTATIONS)


def main(wanted: Sequence[str]) -> int:
    """Plant each; returns 1 when one stayed unnoticed, 2 where there is none of such a name."""
    chosen = [one for one in MUTATIONS if not wanted or any(word in one.name for word in wanted)]
    strange = [word for word in wanted if not any(word in one.name for one in MUTATIONS)]
    if strange:
        names = "\n  ".join(one.name for one in MUTATIONS)
        print(f"no bug has {', '.join(map(repr, strange))} in its name; there are\n  {names}",
              file=sys.stderr)  # fmt: skip
        return 2
    missed = 0
    for one in chosen:
        begin_s = time.process_time()
        count, why = one.seeds()
        missed += not count
        took_s = time.process_time() - begin_s
        print(f"{one.name:36} {count or 'never':>5} seeds {took_s:6.1f} s  {why[:110]}", flush=True)
    print(f"{len(chosen)} planted, {missed} never noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
