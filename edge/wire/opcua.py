"""OPC UA PubSub in JSON (Part 14), and the short forms of Azure's OPC Publisher and IoT Operations.

    {"MessageType": "ua-data", "PublisherId": "p1", "Messages": [
        {"DataSetWriterId": 2, "Timestamp": "2020-03-24T23:30:56.9597112Z",
         "Payload": {"Heat": {"Value": 99, "SourceTimestamp": "...", "StatusCode": 0}}}]}
    {"Heat": {"SourceTimestamp": "2024-07-29T15:02:17.1858435Z", "Value": 4558}}
    {"NodeId": "ns=2;s=Heat", "DisplayName": "Heat", "Value": {"Value": 99, ...}}

A field is a value, a variant with its type, or a DataValue with status and times. Messages of
metadata and status have no values. 64-bit numbers stand in quotes, as Part 6 has it. There the
years 1 and 9999 stand for a time that is null or beyond what a platform knows: none is told. What
a DataValue leaves out is null, its value too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.wire.quality_codes import ua_good
from edge.wire.told import Told

if TYPE_CHECKING:
    from edge.wire.told import Message

WITH_VALUES: Final = ("ua-data", "ua-keyframe", "ua-deltaframe", "ua-event")
QUOTED: Final = (8, 9)  # Int64 and UInt64, as numbers of built-in types
TIMES: Final = ("SourceTimestamp", "ServerTimestamp")
NO_TIMES: Final = ("0001-01-01T00:00:00", "9999-12-31T23:59:59")  # how they begin
DATA_VALUE_KEYS: Final = frozenset(["Value", "StatusCode", "Status", *TIMES])
MESSAGE_KEYS: Final = ("Payload", "Messages", "MessageType")


def read_opcua(message: Message) -> list[Told]:
    """Fields of all messages in it. Raises WireError."""
    body = message.json()
    found: list[Told] = []
    for one in message.as_list(body, "the message") if isinstance(body, list) else [body]:
        _network(message, message.as_object(one, "a message"), found)
        message.as_list(found, "its fields")
    return found


def _network(message: Message, body: dict[str, Any], found: list[Told]) -> None:
    """A network message, a message of a data set without one, a sample, or fields alone."""
    where: dict[str, str] = {}
    if "PublisherId" in body:
        where["publisher"] = message.name(body["PublisherId"], "PublisherId")
    kind = body.get("MessageType", WITH_VALUES[0])
    if "Messages" in body:
        if kind in WITH_VALUES:
            told = body["Messages"]
            for one in message.as_list(told, "Messages") if isinstance(told, list) else [told]:
                _data_set(message, message.as_object(one, "an entry of Messages"), where, found)
    elif "Payload" in body:
        _data_set(message, body, where, found)
    elif kind not in WITH_VALUES:
        return
    elif "NodeId" in body and "Value" in body:
        name = body.get("DisplayName") or body["NodeId"]
        where["node"] = message.name(body["NodeId"], "NodeId")
        where["name"] = message.name(name, "DisplayName")
        found.append(_field(message, where, body["Value"], None, good=ua_good(body.get("Status"))))
    else:
        _data_set(message, {"Payload": body}, where, found)


def _data_set(
    message: Message, body: dict[str, Any], where: dict[str, str], found: list[Told]
) -> None:
    if body.get("MessageType", WITH_VALUES[0]) not in WITH_VALUES or "Payload" not in body:
        return  # a keep-alive, or metadata
    writer = body.get("DataSetWriterName", body.get("DataSetWriterId"))
    place = where if writer is None else {**where, "writer": message.name(writer, "a writer")}
    good, sent_ns = ua_good(body.get("Status")), _time(message, body.get("Timestamp"))
    fields = message.as_object(body["Payload"], "Payload")
    message.as_list([*fields], "Payload")
    for name, field in fields.items():
        part = {**place, "name": message.name(name, "a field")}
        found.append(_field(message, part, field, sent_ns, good=good))


def _field(
    message: Message, where: dict[str, str], field: object, sent_ns: int | None, *, good: bool
) -> Told:
    """One field: a DataValue, a variant, or a plain value."""
    t_ns, kind = sent_ns, None
    if isinstance(field, dict) and (not field or DATA_VALUE_KEYS & field.keys()):
        told = (_time(message, field.get(key)) for key in TIMES)
        t_ns = next((one for one in told if one is not None), sent_ns)
        good = good and ua_good(field.get("StatusCode", field.get("Status")))
        kind, field = field.get("UaType"), field.get("Value")
    if isinstance(field, dict) and ("Body" in field or "Value" in field):
        kind = field.get("Type", field.get("UaType"))
        field = field.get("Body", field.get("Value"))
    value, text = message.value(field, where["name"], quoted=kind in QUOTED)
    return Told(where, t_ns, value, text, good)


def _time(message: Message, stamp: object) -> int | None:
    """A time in ns; None: it is none, or null. Raises WireError."""
    return None if isinstance(stamp, str) and stamp.startswith(NO_TIMES) else message.time(stamp)
