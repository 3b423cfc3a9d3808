"""Discovery: what looks like something else, and options that cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import andon
from edge.discovery.guesses import unit_of, words_of
from edge.discovery.judging import judged
from edge.discovery.messages import MANY_TAGS
from edge.discovery.observed import Observed
from tests.edge.rig import START, S

if TYPE_CHECKING:
    from pathlib import Path


def observed_of(bodies: list[dict[str, Any]], *, topic: str = "acme/line9/data") -> Observed:
    """What is observed of JSON messages of one topic, a second apart."""
    observed = Observed(prefix="andon")
    for i, body in enumerate(bodies):
        payload = json.dumps(body).encode()
        observed.take(topic, payload, received_ns=START + i * S, retained=False)
    return observed


@pytest.mark.parametrize("key", ["tagname", "name", "id"])
@pytest.mark.parametrize("tags", [2, 200])
def test_a_topic_of_several_tags_is_not_taken_for_one(key: str, tags: int) -> None:
    """Their values would be mixed in one channel; it is said how to read them."""
    one_by_one = [{key: f"T{i % tags}", "value": 10.0 * (i % tags)} for i in range(3 * tags)]
    observed = observed_of(one_by_one)
    assert (observed.streams, observed.series) == ({}, 0)
    refused = observed.refused["acme/line9/data"]
    assert refused.reason == MANY_TAGS
    assert key in refused.why
    assert "paths" in refused.why
    assert judged(observed).assets == ()


@pytest.mark.parametrize(
    "more",
    [
        lambda _: {"name": "Drive speed"},  # a description
        lambda i: {"id": f"message-{i}"},  # a number of each message
        lambda i: {"name": "old" if i < 10 else "new"},  # renamed
        lambda i: {"id": i % 3},  # no name
        lambda i: {"unit": "rpm", "shift": "AB"[i % 2]},  # nothing that names tags
    ],
)
def test_a_value_a_topic_may_say_more(more: Any) -> None:  # noqa: ANN401 - a function
    """What does not come back behind another name, or is no name, mixes nothing."""
    observed = observed_of([{"value": 40.0 + i % 7, **more(i)} for i in range(30)])
    assert observed.refused == {}
    assert [one.messages for one in observed.streams.values()] == [30]


@pytest.mark.parametrize(
    ("tag", "unit"),
    [
        ("Force_kN", "kN"), ("motor_current_mA", "mA"), ("Sensor.Voltage mV", "mV"),
        ("drive_freq_kHz", "kHz"), ("noise_dB", "dB"), ("force_kn", "kN"), ("BankNoise", "dB"),
        ("mAx_force", "N"), ("Force_kNx", "N"),
    ],
)  # fmt: skip
def test_a_unit_whose_letters_change_case_is_one_word(tag: str, unit: str) -> None:
    """By its quantity alone it would be a thousand times as large, or as small."""
    found = unit_of(tag)
    assert found is not None
    assert found.unit == unit, words_of(tag)


@pytest.mark.parametrize("topic", ["a/#/b", "plant+/x", "", "a/b#"])
def test_what_is_no_topic_filter_is_refused_before_listening(topic: str) -> None:
    """A broker would end the connection, and say nothing."""
    found = CliRunner().invoke(andon.app, ["discover", "--port", "1", "--topic", topic])
    assert found.exit_code != 0
    assert "is no topic filter" in f"{found.output}{found.exception}"


def test_a_file_that_cannot_be_written_is_refused_before_listening(tmp_path: Path) -> None:
    """Not behind an hour of it."""
    out = tmp_path / "none" / "gateway.toml"
    found = CliRunner().invoke(andon.app, ["discover", "--port", "1", "-o", str(out)])
    assert found.exit_code != 0
    assert "there is no directory" in f"{found.output}{found.exception}"
