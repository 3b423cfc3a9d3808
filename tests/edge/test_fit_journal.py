"""`andon fit` of journals: what is no sensor value is left out and named, context is context."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector, Publisher
from edge.bundles.fit_words import NAMES_SHOWN_MAX
from edge.bundles.training import LEFT_OUT_SHOWN_MAX, FitRequest, fit_recording
from edge.errors import ConfigError, RecordingError
from edge.recordings.recorder import record
from edge.records import MessageReceived
from edge.storage.journal_writer import JournalWriter
from edge.wire.topics import CLOCK_TOPIC
from models.bundles.store import load
from models.errors import ModelError
from models.fitting.budget import divisions_of, shares_of
from simulator.broker import embedded_broker
from tests.models.plants import plant
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.bundles.bundle import Bundle

S: Final = 10**9
START: Final = 1_700_000_000 * S
ROWS: Final = 800
GATEWAY: Final = """\
site = "s"
[model]
bundle = "bundle"
[[asset]]
id = "r1"
context = [{ tag = "run_state", role = "run" }]
"""

Message = tuple[str, bytes]


def wide(asset: str, *, seed: int = 3, c: int = 3) -> list[Message]:
    """Normal operation of c channels and a tag of state, a message a second."""
    values = plant(ROWS, seed=seed, c=c)
    return [
        (
            f"plant/{asset}",
            msgspec.json.encode(
                {"ts": START + i * S, "run_state": 1} | {f"c{k}": v for k, v in enumerate(row)}
            ),
        )
        for i, row in enumerate(values.tolist())
    ]


def kept(path: Path, *streams: Sequence[Message]) -> Path:
    """A journal of streams, each with a message a second from the start."""
    messages = [
        (START + i * S, topic, payload)
        for stream in streams
        for i, (topic, payload) in enumerate(stream)
    ]
    writer = JournalWriter(path, sync_s=3600.0)
    writer.append(
        [
            (t_ns, MessageReceived(topic=topic, payload=payload, received_ns=t_ns))
            for t_ns, topic, payload in sorted(messages)
        ]
    )
    writer.close()
    return path


def clock(seconds: int) -> list[Message]:
    """What a replay publishes once a plant second."""
    return [(CLOCK_TOPIC, b'{"ts":%d}' % (START + i * S)) for i in range(seconds)]


def fitted(
    journal: Path | None, out: Path, *, config: Path | None = None, into: Path | None = None
) -> tuple[Bundle, str]:
    """The bundle, and what was printed."""
    console = Console(file=io.StringIO(), width=80)
    request = FitRequest(recording=journal, out=out, config=config, into=into)
    fit_recording(request, console=console)
    assert isinstance(console.file, io.StringIO)
    return load(out), console.file.getvalue()


def test_what_carries_no_number_is_left_out_and_named(tmp_path: Path) -> None:
    """The clock of a replay, a topic of texts, and one that is not JSON."""
    notes = [("plant/notes", b'{"note":"all well"}')] * 3
    broken = [("plant/camera", b"\xff\xd8\xff")] * 3
    journal = kept(tmp_path / "j", wide("r1"), clock(ROWS), notes, broken)
    bundle, printed = fitted(journal, tmp_path / "bundle")
    assert [model.asset for model in bundle.assets] == ["r1"]
    assert "plant/notes: no numbers, left out" in printed
    assert "plant/camera: not JSON" in printed
    assert "_clock" not in printed


def test_what_was_left_out_is_not_listed_without_end(tmp_path: Path) -> None:
    """A plant has thousands of topics."""
    silent = [(f"plant/n{i}", b'{"note":"x"}') for i in range(LEFT_OUT_SHOWN_MAX + 5)]
    _, printed = fitted(kept(tmp_path / "j", wide("r1"), silent), tmp_path / "bundle")
    assert printed.count("no numbers") == LEFT_OUT_SHOWN_MAX
    assert "and 5 more left out" in printed


def test_a_recording_without_any_number_is_an_error(tmp_path: Path) -> None:
    """It says what was looked for."""
    journal = kept(tmp_path / "j", clock(3), [("plant/notes", b'{"note":"all well"}')])
    with pytest.raises(RecordingError, match=r"no message .* sensor values; looked for plant/"):
        fitted(journal, tmp_path / "bundle")


def test_context_tags_of_the_configuration_are_no_channels(tmp_path: Path) -> None:
    """Which configuration counts is said; without one every number is a channel, and that too."""
    journal = kept(tmp_path / "shifts" / "j", wide("r1"))
    bundle, printed = fitted(journal, tmp_path / "without")
    assert [c.name for c in bundle.assets[0].channels] == ["run_state", "c0", "c1", "c2"]
    assert "no --config and no gateway.toml beside it" in printed
    assert "4 channels: run_state, c0, c1, c2" in printed
    assert "warning: run_state never changed here" in printed
    file = tmp_path / "gateway.toml"
    file.write_text(GATEWAY)
    bundle, printed = fitted(journal, tmp_path / "with", config=file)
    assert [c.name for c in bundle.assets[0].channels] == ["c0", "c1", "c2"]
    assert f"tags and context are those of {file}" in printed
    assert "never changed" not in printed


def test_channel_names_are_listed_up_to_a_bound(tmp_path: Path) -> None:
    """A line is for reading."""
    _, printed = fitted(kept(tmp_path / "j", wide("r1", c=14)), tmp_path / "bundle")
    assert "15 channels: run_state, c0, c1" in printed
    assert f"and {15 - NAMES_SHOWN_MAX} more" in printed


def test_a_child_says_what_is_otherwise_than_in_its_parent(tmp_path: Path) -> None:
    """An asset of the same name is replaced; a further one costs the others of the budget."""
    one = kept(tmp_path / "one", wide("r1"))
    parent, printed = fitted(one, tmp_path / "parent")
    assert "->" not in printed
    two = kept(tmp_path / "two", wide("r2", seed=4))
    child, printed = fitted(two, tmp_path / "child", into=tmp_path / "parent")
    before, now = parent.assets[0].threshold_on, child.assets[0].threshold_on
    assert now > before
    assert f"r1: alerts at score {before:.2f} -> {now:.2f}" in printed
    assert "replaces" not in printed
    again = kept(tmp_path / "again", wide("r2", seed=5))
    grandchild, printed = fitted(again, tmp_path / "grandchild", into=tmp_path / "child")
    assert "r2: replaces the one of that name in the parent" in printed
    at = grandchild.assets[0].threshold_on
    assert at == pytest.approx(now, abs=0.1), "as many assets as before"
    gone = FitRequest(
        recording=None, out=tmp_path / "gone", into=tmp_path / "grandchild", without=("r2",)
    )
    fit_recording(gone, console=Console(file=io.StringIO()))
    (left,) = load(tmp_path / "gone").assets
    assert left.asset == "r1"
    assert left.threshold_on == pytest.approx(before, abs=0.2), "alone with the budget again"
    for absent, words in (("r3", "has no asset r3; it has r1"), ("r1", "no asset would be left")):
        gone = replace(gone, into=tmp_path / "gone", out=tmp_path / "none", without=(absent,))
        with pytest.raises(ModelError, match=words):
            fit_recording(gone, console=Console(file=io.StringIO()))


POSITIONS = """
[[position]]
name = "east"
alerts_per_day = 0.5
assets = ["r1"]
[[position]]
name = "none yet"
assets = ["pump-*"]
"""


def test_each_position_has_a_budget_of_its_own(tmp_path: Path) -> None:
    """And children keep it, unless a configuration says otherwise; nothing is learned for that."""
    file = tmp_path / "gateway.toml"
    file.write_text(GATEWAY + POSITIONS)
    both = kept(tmp_path / "j", wide("r1"), wide("r2", seed=4), wide("r3", seed=5))
    bundle, printed = fitted(both, tmp_path / "both", config=file)
    told = {one.name: (one.share, one.assets) for one in divisions_of(bundle)}
    assert told == {"east": (0.5, ("r1",)), "": (3.0, ("r2", "r3"))}
    assert "position east: 0.5 false alerts a day over 1 asset, 0.5 each; replayed" in printed
    assert "[[position]] has 'pump-*', which matches no asset so far" in printed
    more = kept(tmp_path / "k", wide("pump-1", seed=6))
    child, _ = fitted(more, tmp_path / "child", into=tmp_path / "both")
    assert shares_of(child)["pump-1"] == 6.0, "the pattern of its parent"
    one, other = ({m.asset: m.threshold_on for m in b.assets} for b in (bundle, child))
    assert other["r1"] == pytest.approx(one["r1"], abs=0.1), "nobody joined its position"
    file.write_text(GATEWAY + POSITIONS.replace("0.5", "0.001"))
    again, printed = fitted(None, tmp_path / "again", config=file, into=tmp_path / "child")
    assert "of it [[position]] alone counts here" in printed
    assert "r1: alerts at score" in printed
    assert "->" in printed
    before, after = ({m.asset: m for m in b.assets} for b in (child, again))
    assert after["r1"].threshold_on > before["r1"].threshold_on
    assert after["r2"].threshold_on == before["r2"].threshold_on
    assert after["r1"].tail == before["r1"].tail


def test_without_a_recording_and_a_budget_there_is_nothing_to_divide(tmp_path: Path) -> None:
    """Another bundle that is like its parent would look like one with other thresholds."""
    file = tmp_path / "gateway.toml"
    file.write_text(GATEWAY)
    parent, _ = fitted(kept(tmp_path / "j", wide("r1")), tmp_path / "parent")
    wanted = r"gateway.toml has no \[\[position\]\].*--alerts-per-day"
    with pytest.raises(ConfigError, match=wanted):
        fitted(None, tmp_path / "child", config=file, into=tmp_path / "parent")
    assert not (tmp_path / "child").exists()
    more = FitRequest(
        recording=None,
        out=tmp_path / "child",
        config=file,
        into=tmp_path / "parent",
        alerts_per_day=0.5,
    )
    fit_recording(more, console=Console(file=io.StringIO()))
    child = load(tmp_path / "child")
    assert (parent.alerts_per_day, child.alerts_per_day) == (6.0, 0.5)


def test_an_asset_that_a_position_names_and_nobody_knows_is_an_error(tmp_path: Path) -> None:
    """A name with a mistake in it would leave its asset to another budget in silence."""
    file = tmp_path / "gateway.toml"
    file.write_text(GATEWAY + POSITIONS.replace('"r1"', '"r1", "r22"'))
    journal = kept(tmp_path / "j", wide("r1"), wide("r2", seed=4))
    with pytest.raises(ConfigError, match=r"\[\[position\]\] names the asset 'r22'.*mean r2"):
        fitted(journal, tmp_path / "b", config=file)


def test_what_andon_record_keeps_beside_a_gateway_can_be_fitted(tmp_path: Path) -> None:
    """Everything that crosses the broker: a replay's clock, our outputs, a command, texts."""
    sensors = wide("r1")
    more = [
        (CLOCK_TOPIC, b'{"ts":%d}' % START),
        ("andon/s/cmd/joe/job", b'{"asset":"r1","minutes":30,"ts":1}'),
        ("plant/notes", b'{"note":"all well"}'),
    ]
    own = [("andon/s/status", b"online"), ("andon/s/score/r1", b'{"score":1.5}')]
    with embedded_broker() as broker, Collector(Endpoint(port=broker.port), ["#"]) as witness:
        out = tmp_path / "shift"
        recorder = threading.Thread(
            target=record,
            args=(out, Endpoint(port=broker.port)),
            kwargs={
                "filters": ("#",),
                "prefix": "andon",
                "seconds": 60.0,
                "messages_max": len(sensors) + len(more) + 1,
                "console": Console(file=io.StringIO()),
            },
        )
        with Publisher(Endpoint(port=broker.port)) as publisher:
            publisher.publish("plant/probe", b"{}", retain=True)
            publisher.drain()
            recorder.start()
            wait_until(out.is_dir, what="the recorder")
            for topic, payload in (*own, *more, *sensors):
                publisher.publish(topic, payload)
            publisher.drain()
        recorder.join(timeout=60)
        assert not recorder.is_alive()
        by_us = {"plant/probe", *(topic for topic, _ in (*own, *more, *sensors))}
        assert {message.topic for message in witness.queue} == by_us, "a recorder only listens"
    file = tmp_path / "gateway.toml"
    file.write_text(GATEWAY + '[[source]]\ntopic = "plant/{asset}"\n[[source]]\ntopic = "#"\n')
    bundle, printed = fitted(out, tmp_path / "bundle", config=file)
    assert [model.asset for model in bundle.assets] == ["r1"]
    assert np.isfinite(bundle.assets[0].threshold_on)
    assert "plant/notes: no numbers, left out" in printed
