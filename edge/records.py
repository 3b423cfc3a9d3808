"""Records that cross the core: stimuli in, effects out, and the nouns between.

Times are int ns, UTC.

A stimulus is written to the journal before its effects leave; the journal and the artifacts it
names by hash determine every alert. So nothing here holds a clock, a connection or an open file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

import msgspec

from kb.records import Hit, Query, WorkKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Phase(IntEnum):
    """Where a track of an asset stands; the number is what dashboards plot."""

    QUIET = 0
    RISING = 1
    OPEN = 2
    FALLING = 3


class Reading(StrEnum):
    """What one sample says to the phase table. NaN is UNKNOWN: it neither opens nor clears."""

    OVER = "over"
    UNDER = "under"
    UNKNOWN = "unknown"


class Track(StrEnum):
    """The three alert topics of an asset, and the one of the gateway itself."""

    PROCESS = "process"
    SENSOR = "sensor"
    COMMS = "comms"
    SYSTEM = "system"


class Verdict(StrEnum):
    """ALERT rings, ANNOTATED rings at lower priority, SUPPRESSED is listed."""

    ALERT = "ALERT"
    ANNOTATED = "ANNOTATED"
    SUPPRESSED = "SUPPRESSED"


class JobState(StrEnum):
    """Life of a job. Only OPEN masks anything."""

    PROPOSED = "proposed"
    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Witness(StrEnum):
    """What opened a job."""

    PLANT = "plant"  # live edge of a context tag
    PERSON = "person"  # confirmed or checked in by a named operator
    ORDER = "order"  # approved order with real start and end


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A bounded piece of maintenance work on one asset. An empty scope masks nothing."""

    job_id: str
    kind: WorkKind
    asset: str
    functional_location: str  # instrument within the asset; "" is the whole asset
    valid_from_ns: int
    valid_to_ns: int | None  # None: until its witness ends or the fuse burns
    witness: Witness
    opened_by: str
    opened_at_ns: int
    recorded_at_ns: int
    source: str
    scope: tuple[str, ...]  # channels that it may disturb, resolved from the approved scope table
    expected_effect: float  # largest lasting change of a channel's mean, sigmas
    settle_s: int
    fuse_s: int
    state: JobState
    scope_id: str = ""
    signed: bool = False  # who told of it was verified, or speaks through the plant or a snapshot
    quotes: tuple[str, ...] = ()


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of the decision rule and how it came out. `outcome` None: could not be judged."""

    name: str
    outcome: bool | None
    detail: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with every clause, so that nobody has to guess why."""

    verdict: Verdict
    clauses: tuple[Clause, ...]
    job_id: str = ""


# --- stimuli -------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A gateway process began, with these artifacts."""

    version: str
    bundle_sha256: str
    snapshot_sha256: str  # "" without a knowledge base
    settings_sha256: str
    generation: int = 1  # of the box: a replacement counts one more than what it replaces


class MessageReceived(msgspec.Struct, frozen=True, kw_only=True, tag="message"):
    """Bytes from MQTT, exactly as they came. mid: its id there; 0: QoS 0, or nobody kept it."""

    topic: str
    payload: bytes
    received_ns: int
    qos: int = 0
    retain: bool = False
    dup: bool = False
    mid: int = 0


class TickDue(msgspec.Struct, frozen=True, kw_only=True, tag="tick"):
    """Time to close samples, score and decide.

    `final`: a recording ended; close what is waiting.
    """

    final: bool = False


class RetrievalDone(msgspec.Struct, frozen=True, kw_only=True, tag="retrieval"):
    """The knowledge base answered.

    `hits` `()`: found nothing; None: could not look, for `reason`.
    """

    alert_id: str
    hits: tuple[Hit, ...] | None
    reason: str = ""


class JobTold(msgspec.Struct, frozen=True, kw_only=True, tag="job"):
    """A job that became known past signals and snapshot, as from a backtest's file of jobs."""

    job: Job


class AlertStands(msgspec.Struct, frozen=True, kw_only=True, tag="stands"):
    """What was published of an alert, as a restart found it, is not what the engine says now.

    Decided with other artifacts, or of an alert that it does not know: then begin_ms, changed_ms
    (plant time, 0: not told) and `unseen` (nobody has acknowledged it) are what it was said to be.
    leap: by how much our word leaps where it was said in a revision that the engine does not know;
    0: as older versions told it, by none.
    """

    asset: str
    track: Track
    alert_id: str
    revision: int
    own_revision: int = 0  # the highest that was put under the id that the engine has
    group: str = ""  # it is a group alert: the last level of its topic
    begin_ms: int = 0
    changed_ms: int = 0
    unseen: bool = False
    leap: int = 0


class SnapshotSwapped(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """Another knowledge snapshot took over."""

    snapshot_sha256: str


class BundleSwapped(msgspec.Struct, frozen=True, kw_only=True, tag="bundle"):
    """Another detector bundle took over, for the reason that a person or the gateway gave."""

    bundle_sha256: str
    because: str = ""


class CommissionTold(msgspec.Struct, frozen=True, kw_only=True, tag="commission"):
    """What became known of an asset's commissioning.

    what: accepted or withdrawn, the word of the person `by` on what `bundle_sha256` makes of the
    asset; not_fitted, enough was seen of it, and `because` no fit was made of that. sequence,
    sha256: of a word, its place in the book and its hash; 0 and "": as older versions told it.
    """

    what: str
    asset: str
    by: str
    because: str = ""
    bundle_sha256: str = ""
    sequence: int = 0
    sha256: str = ""


class ShellFault(msgspec.Struct, frozen=True, kw_only=True, tag="fault"):
    """Trouble of the shell that operators must hear of. `active` False: it is over.

    leap: of `not_durable`, by how much revisions leap (`edge.work.durable`).
    """

    name: str
    detail: str
    active: bool = True
    leap: int = 0


class JournalHole(msgspec.Struct, frozen=True, kw_only=True, tag="hole"):
    """The journal did not take `stimuli` between two times of the wall clock.

    The engine had them all the same. leap: as `not_durable` told it when that began.
    """

    from_ns: int
    to_ns: int
    stimuli: int
    because: str
    leap: int


class Shed(msgspec.Struct, frozen=True, kw_only=True, tag="shed"):
    """Messages were given up before they were accepted: more came than the gateway could take.

    messages: how many, by asset, since the last word of it; "" for those that named none, which may
    have been of any.
    """

    messages: dict[str, int]


Stimulus = (
    Started
    | MessageReceived
    | TickDue
    | RetrievalDone
    | JobTold
    | AlertStands
    | SnapshotSwapped
    | BundleSwapped
    | CommissionTold
    | ShellFault
    | Shed
    | JournalHole
)


# --- effects -------------------------------------------------------------------------------------


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes for the broker.

    With a `key` (alert id, revision) it goes through the outbox: durable, at least
    once, byte-identical each time; without one it may be lost with the connection.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    key: tuple[str, int] | None = None


class Retrieve(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the knowledge base; the answer, or the reason for none, comes back as RetrievalDone."""

    alert_id: str
    query: Query
    deadline_ms: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One line for the log, as data, at a transition."""

    name: str
    level: str  # info | warning | error
    fields: dict[str, str | int | float]


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail: something that kept an alert quiet, or a person's word.

    what: suppressed, handed_over, suppression_over, rang_again, reclassified, shelved, unshelved,
    out_of_service, in_service, grouped, confirmed, checked_in, extended, cancelled, acknowledged,
    accepted, withdrawn, retired, command_refused.
    facts: alert_id, revision, job_id, operator, detail, as far as they apply; shared: 1 where
    several people use the operator's name.
    """

    what: str
    asset: str
    t_ns: int  # plant time
    facts: dict[str, str | int]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be read, for whoever mends its sender. May be lost.

    payload: its beginning; size_bytes: of all of it. t_ns: when it came.
    """

    topic: str
    reason: str
    payload: bytes
    size_bytes: int
    t_ns: int


class TextTold(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an operator, to be noted in the folder of documents. One line, nothing hidden.

    unsigned: a signature was required and not there.
    """

    asset: str
    operator: str
    t_ns: int  # when it was sent, plant time
    text: str
    unsigned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowsScored:
    """What became of consecutive samples of one asset, told only where somebody asked for it.

    t_ns: (n,)   scores: (n,) float32, NaN: not ready   threshold: that opens an event   flags: (n,)
    bool, strange by themselves   classes: (n,) str, `edge.samples.row_flags` has the words
    """

    asset: str
    t_ns: NDArray[np.int64]
    scores: NDArray[np.float32]
    threshold: float
    flags: NDArray[np.bool_]
    classes: NDArray[np.str_]


Effect = Publish | Retrieve | Note | Audited | TextTold | RowsScored | DeadLetter
