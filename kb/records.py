"""What the knowledge base hands out. Times are int ns since the Unix epoch, UTC.

Text that comes out of documents is data: it is quoted and cited, never obeyed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class WorkKind(StrEnum):
    """Kinds of bounded maintenance work; a text whose kind is not one of these proposes nothing."""

    CALIBRATION = "calibration"
    VERIFICATION = "verification"
    FUNCTION_TEST = "function_test"
    REPAIR = "repair"
    REPLACEMENT = "replacement"
    CLEANING = "cleaning"
    PLANNED_STOP = "planned_stop"


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A verbatim span of one revision of one document.

    `sha256` is the hash of the UTF-8 bytes of `quote`; `start` and `end` are character offsets,
    half-open, into the document's stored text, so `text[start:end] == quote`.
    """

    doc_id: str
    revision: str
    chunk_id: int
    start: int
    end: int
    sha256: str
    quote: str


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One passage that a search found, best first.

    steps: the spans of the passage that say what to do, in order; () where it is no list of steps.
    """

    citation: Citation
    title: str
    section: str
    kind: str  # manual, procedure, policy, log, order, schedule, schema
    score: float  # reciprocal rank fusion; only its order means anything
    similarity: float  # cosine to the query, NaN when only the lexical index found it
    steps: tuple[Citation, ...] = ()


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Work that a text suggests. It annotates; only a witness makes a job of it.

    `valid_from_ns`/`valid_to_ns` are None where the text gives no such time. `real_times` is False
    for default or missing times; `approved` says that the order's status maps to an approved state.
    Only `approved and real_times` together are an order witness.
    """

    proposal_id: str
    kind: WorkKind
    asset: str
    instrument: str  # functional location within the asset; "" is the whole asset
    valid_from_ns: int | None
    valid_to_ns: int | None
    recorded_at_ns: int
    source: str  # order, schedule, log
    approved: bool
    real_times: bool
    cancelled: bool
    confidence: float
    citation: Citation


class ScopeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One approved row of a scope table: which channels this work may disturb, how much, how long.

    `asset` is an exact id and `channels` is never empty; there are no wildcards.
    `expected_effect` is the largest lasting change of a channel's mean, in sigmas of normal
    operation.
    """

    scope_id: str
    kind: WorkKind
    asset: str
    instrument: str
    channels: tuple[str, ...]
    expected_effect: float
    duration_s_max: int
    settle_s: int
    recorded_at_ns: int
    approved_by: str
    citation: Citation


class SignedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A file of scope rows as it stands in the folder, with the signatures that lie beside it.

    Whether they are valid is for whoever knows keys to say. signatures: lines of base64
    """

    path: str
    content: bytes
    signatures: str


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel does in a failure mode: `high`, `low`, `stuck`, `missing`, or `any`."""

    channel: str
    direction: str = "any"


class FailureMode(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a failure-mode table: how a fault shows itself, and what to do about it.

    `asset` is an exact id; "" is any asset that has the channels. advice: the span of its action
    alone, since a long row does not fit into one quote; None where it could not be found.
    """

    mode_id: str
    name: str
    asset: str
    signs: tuple[Sign, ...]  # never empty
    cause: str
    action: str
    recorded_at_ns: int
    citation: Citation
    advice: Citation | None = None


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Approved engineering limits of one channel, in its unit; None: none on that side.

    `low_low <= low < high <= high_high` where given.
    """

    limit_id: str
    asset: str  # exact id
    channel: str
    unit: str
    low_low: float | None
    low: float | None
    high: float | None
    high_high: float | None
    recorded_at_ns: int
    approved_by: str
    citation: Citation


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a sensor schema: what a channel measures, where it can be, how people call it."""

    asset: str  # exact id; "" is every asset
    channel: str
    unit: str
    low: float | None  # of the instrument's range; None: not given
    high: float | None
    aliases: tuple[str, ...]
    citation: Citation


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for: a sentence for the dense index, verbatim terms for the lexical one."""

    text: str
    terms: tuple[str, ...] = ()
    asset: str = ""  # exact id, and site-wide; "" looks at site-wide documents only
    kinds: tuple[str, ...] = ()  # empty: every kind
    limit: int = 5
    all_assets: bool = False  # for a person at a terminal: whatever asset a document is of
    per_document_max: int = 2  # passages of one document; 0: as many as there are
