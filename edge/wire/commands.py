"""Commands of operators: strict, small, and refused when retained, stale or oversized."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

import msgspec

from edge.caps import COMMAND_BYTES_MAX, TEXT_CHARS_MAX
from edge.errors import UNREADABLE, WireError
from edge.wire.readings import T_NS_MAX
from edge.wire.topics import is_asset_id
from kb.records import WorkKind

STALE_NS: Final = 300 * 1_000_000_000  # an older command was meant for another moment
DOUBTED: Final = (
    "that is not what the clock of this box shows, which is not believed (alert clock_wrong):"
    " set it, or the clocks of the sources that say otherwise"
)
MILLISECOND_NS: Final = 1_000_000
MINUTES_MAX: Final = 100_000  # of a silence or an extension: ten weeks
# A text proposes at most: only a person's confirmation, which needs a signature, makes a job of it.
NEVER_QUIET: Final = ("ack", "feedback", "text")
ENDS: Final = ("check_out", "cancel", "unshelve", "in")  # after these, what is abnormal rings
EXAMPLES: Final = {  # of a body, for who sent one that cannot be read
    "ack": '{"ts": 1760000000000, "alert_id": "..."}',
    "feedback": '{"ts": 1760000000000, "alert_id": "...", "label": "nuisance"}',
    "confirm": '{"ts": 1760000000000, "proposal_id": "..."}',
    "job": '{"ts": 1760000000000, "action": "check_in", "asset": "r1", "kind": "calibration"}',
    "shelve": '{"ts": 1760000000000, "alert_id": "...", "minutes": 60}',
    "oos": '{"ts": 1760000000000, "asset": "r1", "minutes": 60}',
    "text": '{"ts": 1760000000000, "asset": "r1", "text": "..."}',
}
_PLACE: Final = re.compile(r" - at `\$\.(\w+)[^`]*`$")
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co")  # control and zero-width characters, private use


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
    """A person witnesses a proposal: open now or in future, never backwards.

    Texts rarely say on which instrument, or since when: the person may. `valid_from` in ms of plant
    time; what began before it was said is at most explained afterwards.
    """

    ts: int
    proposal_id: str
    instrument: str = ""  # "": as the proposal says
    valid_from: int | None = None  # None: as the proposal says
    reason: str = ""


class JobCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person checks a job in or out, extends or cancels one. Times in ms of plant time.

    `valid_from` of work that is told late or planned; what is extended goes on until `valid_to`, or
    for `minutes` from now.
    """

    ts: int
    action: Literal["check_in", "check_out", "extend", "cancel"]
    job_id: str = ""
    asset: str = ""
    kind: WorkKind | None = None
    instrument: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    minutes: int | None = None
    reason: str = ""

    @property
    def valid_from_ns(self) -> int | None:
        """Begin of the job in plant time, ns; None: now."""
        return None if self.valid_from is None else self.valid_from * MILLISECOND_NS

    @property
    def valid_to_ns(self) -> int | None:
        """End of the job in plant time, ns; None: until it is checked out."""
        return None if self.valid_to is None else self.valid_to * MILLISECOND_NS


class Shelve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator silences an alert's track, or all of an asset, until `until` or for `minutes`."""

    ts: int
    action: Literal["shelve", "unshelve"] = "shelve"
    alert_id: str = ""
    asset: str = ""
    track: Literal["", "process", "sensor", "comms"] = ""
    until: int | None = None
    minutes: int | None = None
    reason: str = ""


class OutOfService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset is taken out of service until `until` or for `minutes`, or is `in` again."""

    ts: int
    asset: str
    action: Literal["out", "in"] = "out"
    owner: str = ""  # "" is who sends it
    until: int | None = None
    minutes: int | None = None
    reason: str = ""


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person notes something about an asset, as in a shift log."""

    ts: int
    asset: str
    text: str
    kind: Literal["log"] = "log"

    @property
    def line(self) -> str:
        """The text on one line, without what nobody sees."""
        return seen_text(self.text)


Body = Ack | Feedback | Confirm | JobCommand | Shelve | OutOfService | Text


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that may be carried out."""

    topic: str
    operator: str
    name: str
    body: Body
    signature: str = ""  # base64
    content: bytes = b""  # what was sent without it, in the one order of a signed command

    @property
    def keeps_quiet(self) -> bool:
        """Whether it may silence anything; what only makes louder needs no signature."""
        ends = getattr(self.body, "action", "") in ENDS
        return self.name not in NEVER_QUIET and not ends

    @property
    def signed_bytes(self) -> bytes:
        """What its signature covers: where it was sent, and its fields."""
        return self.topic.encode() + b"\n" + self.content


class EarlyCommandError(WireError):
    """A command whose time lies too far ahead: refused now, and it must not count later either."""

    def __init__(self, message: str, *, command: Command) -> None:
        """`command` is what it says, checked as every other."""
        super().__init__(message, reason="command_future", topic=command.topic)
        self.command = command


BODIES: Final[dict[str, type[Body]]] = {
    "ack": Ack,
    "feedback": Feedback,
    "confirm": Confirm,
    "job": JobCommand,
    "shelve": Shelve,
    "oos": OutOfService,
    "text": Text,
}


def decode_command(
    payload: bytes,
    *,
    topic: str,
    operator: str,
    name: str,
    retain: bool,
    now_ns: int,
    doubted: bool = False,
) -> Command:
    """Read one command that came on `topic`. now_ns: plant time, against which it may be stale.

    doubted: it is what sources say, since they outvote our clock; who is refused by it is told so.

    Raises WireError with a reason for everything that makes it unfit to be carried out;
    EarlyCommandError where that is its time alone, which will come.
    """
    if retain:  # FUXA publishes retained: it would come again with every connection
        raise WireError("retained commands are refused", reason="command_retained", topic=topic)
    if len(payload) > COMMAND_BYTES_MAX:
        message = f"{len(payload)} B, more than {COMMAND_BYTES_MAX} B"
        raise WireError(message, reason="command_oversize", topic=topic)
    kind = BODIES.get(name)
    if kind is None:
        message = f"{name!r} is not carried out by this version, expected {', '.join(BODIES)}"
        raise WireError(message, reason="unknown_command", topic=topic)
    try:
        content, signature = command_content(payload, topic=topic, name=name)
        body = msgspec.json.decode(content if signature else payload, type=kind)
    except UNREADABLE as error:
        cause = _cause(error, EXAMPLES[name], kind)
        raise WireError(cause, reason="command_invalid", topic=topic) from error
    age_ns = now_ns - body.ts * MILLISECOND_NS
    word = "old" if age_ns > 0 else "early"
    mistimed = (
        f"ts {body.ts} is more than {STALE_NS // 10**9} s too {word}: now is"
        f" {now_ns // MILLISECOND_NS} (ms)"
    )
    if doubted:
        mistimed += f"; {DOUBTED}"
    if age_ns > STALE_NS:
        raise WireError(mistimed, reason="command_stale", topic=topic)
    if body.ts > T_NS_MAX // MILLISECOND_NS:  # a time that never comes, and that nobody remembers
        raise WireError(mistimed, reason="command_future", topic=topic)
    _check_fields(body, topic)
    command = Command(topic=topic, operator=operator, name=name, body=body)
    if signature:
        command = msgspec.structs.replace(command, signature=signature, content=content)
    if age_ns < -STALE_NS:
        raise EarlyCommandError(mistimed, command=command)
    return command


def command_content(payload: bytes, *, topic: str, name: str = "ack") -> tuple[bytes, str]:
    """A command's fields without `signature`, as JSON with sorted keys and no spaces; and that.

    name: of the command, of which a refusal gives an example.

    Raises WireError for what is no JSON object, or has a signature that is no text.
    """
    try:
        fields = msgspec.json.decode(payload, type=dict[str, object])
        signature = fields.pop("signature", "")
        content = msgspec.json.encode(fields, order="sorted")
    except UNREADABLE as error:
        example = EXAMPLES.get(name, EXAMPLES["ack"])
        raise WireError(_cause(error, example), reason="command_invalid", topic=topic) from error
    if not isinstance(signature, str):
        raise WireError("signature is no text", reason="command_invalid", topic=topic)
    return content, signature


def seen_text(text: str) -> str:
    """A text on one line, without what nobody sees."""
    seen = (" " if c.isspace() else c for c in text)
    kept = (c for c in seen if unicodedata.category(c) not in _UNSEEN)
    return " ".join("".join(kept).split())


def _cause(error: Exception, example: str, kind: type[Body] | None = None) -> str:
    """What is wrong with a payload, and what was expected, for the person who sent it."""
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON ({error}); expected an object such as {example}"
    said = str(error)
    place = _PLACE.search(said)
    if place is None and kind is None:
        return f"{said}; expected an object such as {example}"
    fields = msgspec.structs.fields(kind) if kind is not None else ()
    if place is None or not fields:
        expected = "fields " + ", ".join(f"{f.name}" + "?" * (not f.required) for f in fields)
        return f"{said}; expected {expected} (? may be left out)"
    named = next((f for f in fields if f.name == place[1]), None)
    allowed = _allowed(msgspec.inspect.type_info(named.type)) if named is not None else []
    message = said.replace(place[0], f" at {place[1]}")
    return f"{message}; expected one of {', '.join(allowed)}" if allowed else message


def _allowed(kind: msgspec.inspect.Type) -> list[str]:
    """The words that a field takes; none where it takes anything of its type."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(value) for value in kind.values if value != ""]
    if isinstance(kind, msgspec.inspect.EnumType):
        return [str(member.value) for member in kind.cls]
    if isinstance(kind, msgspec.inspect.UnionType):
        return [word for one in kind.types for word in _allowed(one)]
    return []


def _check_fields(body: Body, topic: str) -> None:
    for field in body.__struct_fields__:
        value = getattr(body, field)
        if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
            message = f"{field} is longer than {TEXT_CHARS_MAX} characters"
            raise WireError(message, reason="command_invalid", topic=topic)
    for field in ("alert_id", "job_id", "proposal_id", "instrument"):
        if not getattr(body, field, "").isprintable():
            message = f"{field} has characters that nobody sees"
            raise WireError(message, reason="command_invalid", topic=topic)
    for field in ("valid_from", "valid_to", "until"):
        at_ms = getattr(body, field, None)
        if at_ms is not None and not 0 <= at_ms <= T_NS_MAX // MILLISECOND_NS:
            # kept in a job, a number of more than 64 bits would break every checkpoint
            raise WireError(f"{field} is out of range", reason="command_invalid", topic=topic)
    minutes = getattr(body, "minutes", None)
    if minutes is not None and not 0 < minutes <= MINUTES_MAX:
        message = f"minutes is {minutes}, expected 1 to {MINUTES_MAX}"
        raise WireError(message, reason="command_invalid", topic=topic)
    asset = getattr(body, "asset", "")
    if asset and not is_asset_id(asset):
        raise WireError("asset is not an id", reason="command_invalid", topic=topic)
