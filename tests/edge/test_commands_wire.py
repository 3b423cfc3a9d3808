"""Commands of operators: strict, small, fresh, and never retained."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caps import COMMAND_BYTES_MAX, TEXT_CHARS_MAX
from edge.errors import WireError
from edge.wire.commands import (
    EXAMPLES,
    STALE_NS,
    Ack,
    Command,
    Confirm,
    Feedback,
    JobCommand,
    decode_command,
)
from kb.records import WorkKind

TS: Final = 1_760_000_000_000
NOW: Final = TS * 10**6
TOPIC: Final = "andon/s/cmd/anna/x"


def decode(name: str, body: object, *, now_ns: int = NOW, retain: bool = False) -> Command:
    """Decode one command."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_command(
        payload, topic=TOPIC, operator="anna", name=name, retain=retain, now_ns=now_ns
    )


def refusal(name: str, body: object, **more: Any) -> str:  # noqa: ANN401
    """Return the reason for which a command is refused."""
    with pytest.raises(WireError) as caught:
        decode(name, body, **more)
    assert caught.value.topic == TOPIC
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("ack", {"alert_id": "a"}, Ack(ts=TS, alert_id="a")),
        (
            "feedback",
            {"alert_id": "a", "label": "nuisance", "note": "n"},
            Feedback(ts=TS, alert_id="a", label="nuisance", note="n"),
        ),
        (
            "confirm",
            {"proposal_id": "p", "reason": "r"},
            Confirm(ts=TS, proposal_id="p", reason="r"),
        ),
        (
            "job",
            {"action": "check_in", "asset": "r1", "kind": "calibration", "valid_to": TS + 1},
            JobCommand(
                ts=TS,
                action="check_in",
                asset="r1",
                kind=WorkKind.CALIBRATION,
                valid_to=TS + 1,
            ),
        ),
    ],
)
def test_each_command_is_read(name: str, body: dict[str, object], expected: object) -> None:
    """Every documented body, with its defaults."""
    command = decode(name, {"ts": TS, **body})
    assert command == Command(topic=TOPIC, operator="anna", name=name, body=command.body)
    assert command.body == expected


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("payload", [b"{not json", b"[1]"])
def test_what_cannot_be_read_is_answered_with_an_example_that_can(
    name: str, payload: bytes
) -> None:
    """Of that very command."""
    with pytest.raises(WireError) as caught:
        decode(name, payload)
    assert str(caught.value).endswith(f"such as {EXAMPLES[name]}")
    assert decode(name, EXAMPLES[name].encode()).name == name


def test_a_stale_command_is_told_the_time() -> None:
    """Plant time in ms, as the command has to give it."""
    with pytest.raises(WireError, match=f"now is {TS}"):
        decode("ack", {"ts": TS - 301_000, "alert_id": "a"})


def test_the_end_of_a_job_is_in_nanoseconds() -> None:
    """None stays None: until it is checked out."""
    body = decode("job", {"ts": TS, "action": "check_in", "valid_to": TS}).body
    assert isinstance(body, JobCommand)
    assert body.valid_to_ns == NOW
    assert JobCommand(ts=TS, action="cancel").valid_to_ns is None


ACK: Final = {"ts": TS, "alert_id": "a"}


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("ack", b"", "command_invalid"),
        ("ack", b"\xff", "command_invalid"),
        ("ack", b"[" * 4000, "command_invalid"),
        ("ack", [], "command_invalid"),
        ("ack", {"alert_id": "a"}, "command_invalid"),
        ("ack", {**ACK, "ts": str(TS)}, "command_invalid"),
        ("ack", {**ACK, "ts": TS + 0.25}, "command_invalid"),
        ("ack", {**ACK, "ts": 10**30}, "command_future"),
        ("job", {"ts": TS, "action": "check_in", "valid_to": 10**30}, "command_invalid"),
        ("job", {"ts": TS, "action": "check_in", "valid_to": -1}, "command_invalid"),
        ("ack", {**ACK, "extra": 1}, "command_invalid"),
        ("ack", {**ACK, "reason": "r" * (TEXT_CHARS_MAX + 1)}, "command_invalid"),
        ("feedback", {**ACK, "label": "great"}, "command_invalid"),
        ("job", {"ts": TS, "action": "stop"}, "command_invalid"),
        ("job", {"ts": TS, "action": "cancel", "asset": "a/b"}, "command_invalid"),
        ("job", {"ts": TS, "action": "check_in", "kind": "lunch"}, "command_invalid"),
        ("dance", {"ts": TS}, "unknown_command"),
        ("shelve", {"ts": TS, "minutes": 0}, "command_invalid"),
        ("shelve", {"ts": TS, "until": 10**30}, "command_invalid"),
        ("oos", {"ts": TS}, "command_invalid"),
        ("job", {"ts": TS, "action": "extend", "minutes": 10**6}, "command_invalid"),
        ("job", {"ts": TS, "action": "check_in", "valid_from": -1}, "command_invalid"),
        ("ack", {**ACK, "reason": "r" * COMMAND_BYTES_MAX}, "command_oversize"),
    ],
)
def test_what_is_not_exactly_a_command_is_refused(name: str, body: object, reason: str) -> None:
    """Unknown fields and values are mistakes, never ignored."""
    assert refusal(name, body) == reason


def test_retained_commands_are_refused_whatever_they_say() -> None:
    """They would be carried out anew with every connection."""
    assert refusal("ack", ACK, retain=True) == "command_retained"
    assert refusal("ack", b"", retain=True) == "command_retained"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_command_is_fresh_up_to_the_bound(sign: int) -> None:
    """Five minutes either way are taken, a nanosecond more is not."""
    assert decode("ack", ACK, now_ns=NOW + sign * STALE_NS).body == Ack(ts=TS, alert_id="a")
    beyond = "command_stale" if sign > 0 else "command_future"
    assert refusal("ack", ACK, now_ns=NOW + sign * (STALE_NS + 1)) == beyond


@given(
    name=st.sampled_from(["ack", "feedback", "confirm", "job", "shelve", "oos", "x"]),
    payload=st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(["ts", "alert_id", "label", "action", "kind", "asset", "valid_to"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    ).map(lambda body: json.dumps(body).encode()),
)
def test_any_bytes_are_a_command_or_a_wire_error(name: str, payload: bytes) -> None:
    """Nothing else ever comes out."""
    try:
        command = decode(name, payload)
    except WireError as error:
        assert error.reason  # noqa: PT017 - either outcome is fine, a third is not
    else:
        assert command.name == name
        assert abs(NOW - command.body.ts * 10**6) <= STALE_NS


@pytest.mark.parametrize(
    ("name", "body", "parts"),
    [
        (
            "feedback",
            {"ts": TS, "alert_id": "a", "label": "maybe"},
            ("'maybe'", "at label", "expected, nuisance, real, sensor, unsure"),
        ),
        ("job", {"ts": TS, "action": "explode"}, ("cancel, check_in, check_out, extend",)),
        (
            "job",
            {"ts": TS, "action": "cancel", "kind": "dance"},
            ("'dance'", ", ".join(kind.value for kind in WorkKind)),
        ),
        ("ack", {"alert_id": "a"}, ("`ts`", "expected fields ts, alert_id, reason?")),
        ("ack", {"ts": TS, "alert_id": "a", "x": 1}, ("`x`", "ts, alert_id, reason?")),
        ("ack", {"ts": "now", "alert_id": "a"}, ("Expected `int`", "at ts")),
        ("ack", b"{not json", ("not JSON", '{"ts": ')),
        ("ack", b"", ("not JSON",)),
        ("ack", b"\xff", ("not JSON",)),
        ("ack", [1], ("expected an object",)),
    ],
)
def test_a_refusal_says_what_is_allowed(name: str, body: object, parts: tuple[str, ...]) -> None:
    """For a person at a panel, not for a programmer."""
    with pytest.raises(WireError) as caught:
        decode(name, body)
    for part in parts:
        assert part in str(caught.value)
    assert "$" not in str(caught.value)
