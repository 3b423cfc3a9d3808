"""Commands of operators: strict, small, and refused when retained, stale or oversized."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from edge.caps import COMMAND_BYTES_MAX, TEXT_CHARS_MAX
from edge.errors import WireError
from edge.wire.readings import T_NS_MAX
from edge.wire.topics import is_asset_id
from kb.records import WorkKind

STALE_NS: Final = 300 * 1_000_000_000  # an older command was meant for another moment
MILLISECOND_NS: Final = 1_000_000


class Ack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody has seen an alert."""

    ts: int  # plant time, ms
    alert_id: str
    reason: str = ""


class Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator thinks of an alert."""

    ts: int
    alert_id: str
    label: Literal["expected", "nuisance", "sensor", "unsure", "real"]
    note: str = ""


class Confirm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person witnesses a proposal: open now or in future, never backwards."""

    ts: int
    proposal_id: str
    reason: str = ""


class JobCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person checks a job in or out, or cancels one. `valid_to` in ms of plant time."""

    ts: int
    action: Literal["check_in", "check_out", "cancel"]
    job_id: str = ""
    asset: str = ""
    kind: WorkKind | None = None
    instrument: str = ""
    valid_to: int | None = None
    reason: str = ""

    @property
    def valid_to_ns(self) -> int | None:
        """End of the job in plant time, ns; None: until it is checked out."""
        return None if self.valid_to is None else self.valid_to * MILLISECOND_NS


Body = Ack | Feedback | Confirm | JobCommand


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that may be carried out."""

    topic: str
    operator: str
    name: str
    body: Body


_BODIES: Final[dict[str, type[Body]]] = {
    "ack": Ack,
    "feedback": Feedback,
    "confirm": Confirm,
    "job": JobCommand,
}


def decode_command(
    payload: bytes, *, topic: str, operator: str, name: str, retain: bool, now_ns: int
) -> Command:
    """Read one command that came on `topic`. now_ns: plant time, against which it may be stale.

    Raises WireError with a reason for everything that makes it unfit to be carried out.
    """
    if retain:  # FUXA publishes retained: it would come again with every connection
        raise WireError("retained commands are refused", reason="command_retained", topic=topic)
    if len(payload) > COMMAND_BYTES_MAX:
        message = f"{len(payload)} B, more than {COMMAND_BYTES_MAX} B"
        raise WireError(message, reason="command_oversize", topic=topic)
    kind = _BODIES.get(name)
    if kind is None:
        message = f"{name!r} is not carried out by this version, expected {', '.join(_BODIES)}"
        raise WireError(message, reason="unknown_command", topic=topic)
    try:
        body = msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(str(error), reason="command_invalid", topic=topic) from error
    if abs(now_ns - body.ts * MILLISECOND_NS) > STALE_NS:
        message = f"ts {body.ts} is more than {STALE_NS // 10**9} s away from now"
        raise WireError(message, reason="command_stale", topic=topic)
    _check_fields(body, topic)
    return Command(topic=topic, operator=operator, name=name, body=body)


def _check_fields(body: Body, topic: str) -> None:
    for field in body.__struct_fields__:
        value = getattr(body, field)
        if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
            message = f"{field} is longer than {TEXT_CHARS_MAX} characters"
            raise WireError(message, reason="command_invalid", topic=topic)
    valid_to = getattr(body, "valid_to", None)
    if valid_to is not None and not 0 <= valid_to <= T_NS_MAX // MILLISECOND_NS:
        # kept in a job, a number of more than 64 bits would break every checkpoint
        raise WireError("valid_to is out of range", reason="command_invalid", topic=topic)
    asset = getattr(body, "asset", "")
    if asset and not is_asset_id(asset):
        raise WireError("asset is not an id", reason="command_invalid", topic=topic)
