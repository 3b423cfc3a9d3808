"""`andon bench speed`: what it tells, what it says when a part fails, and what its plant sends.

How fast anything is, no test asks.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from andon.speed_page import markdown
from andon.speed_report import number
from benchmarks.plant import Load, signals
from benchmarks.speed import run as speed_run
from benchmarks.speed.figure import Curve, Figure, Shares
from benchmarks.speed.firehose import packets
from benchmarks.speed.kept import keep, kept
from benchmarks.speed.machine import look
from benchmarks.speed.parts import IDS, PARTS, PEER_IDS, Part
from benchmarks.speed.peers import beside
from benchmarks.speed.peers.environments import ENVIRONMENTS, PeerError, python_of
from benchmarks.speed.peers.ours import WAYS as OURS_MADE
from benchmarks.speed.peers.stream import recorded
from benchmarks.speed.peers.table import OURS, PEERS, Entry
from benchmarks.speed.peers.worker import WAYS
from benchmarks.speed.run import Peer, Run, run
from edge.wire.readings import decode_readings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "performance.md"
ASKED: Final = {  # of the figures that are promised
    "mlp_hop1_gemm", "mlp_hop16_gemm", "default_1000_assets", "default_1_asset_n1",
    "default_1_asset_n16", "conv_hop1", "peer_river_hst", "peer_pysad_loda",
    "peer_pyod_pca_windows", "peer_pyod_pca_rows", "peer_numalogic", "ingest_qos0_paho",
    "ingest_qos1_paho", "ingest_columnar", "ingest_single_value", "lateness_p999",
    "publish_to_alert_p99", "linearity",
}  # fmt: skip


def figure(called: str = "f", /, **told: object) -> Figure:
    """A figure with what is told of it."""
    given = {"id": called, "figure": 2.0, "unit": "values/s", "ratio": 0.5, "against": "x", **told}
    return msgspec.convert(given, Figure)


def a_run(**told: object) -> Run:
    """A run with a figure of each kind, a peer that ran and one that did not."""
    nan = float("nan")
    figures = [
        figure("mlp_hop1_gemm", at_least=0.55, note="of it"),
        figure("limit_memory", ratio=nan, against=""),
        figure("ingest_columnar", at_most=0.6),
    ]
    peer = partial(Peer, version="1", rss_mb=3.0, computes="rows | each")
    return Run(
        machine=look(),
        seconds=1.0,
        quick=False,
        figures=figures,
        curves=[
            Curve(
                title="c", x_name="assets", y_name="ns", x=(1.0, 100.0), series={"a": (1.0, None)}
            )
        ],
        shares=[Shares(title="s", of="time", parts=(("scoring", 0.75), ("rest", 0.25)))],
        peers=[
            peer(name="fast", values_per_s=2.0, times={"default": 4.0}),
            peer(name="gone", values_per_s=nan, times={}, error="no wheel"),
        ],
        **told,  # type: ignore[arg-type]
    )


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and standard output of the command."""
    done = CliRunner().invoke(andon.app, ["bench", "speed", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def figures_of(entry: Entry) -> list[tuple[str, str]]:
    """Ids of the figures of a peer, each with the loop of ours that is beside it."""
    return [(entry.id, entry.beside), *entry.more] if entry.id else []


def test_every_figure_that_is_promised_has_a_part() -> None:
    """And each id has one part or peer only."""
    assert set(IDS) >= ASKED
    assert len(IDS) == len(set(IDS))
    assert {name for entry in PEERS for name, _ in figures_of(entry)} == set(PEER_IDS)


def test_every_peer_can_be_called_and_installed() -> None:
    """The table names functions and environments that are there."""
    assert {entry.worker for entry in PEERS} == set(WAYS)
    assert {entry.environment for entry in PEERS} == set(ENVIRONMENTS)
    loops = {one for entry in PEERS for one in (entry.beside, *dict(entry.more).values())}
    assert loops <= set(OURS) == set(OURS_MADE)


def test_a_part_that_fails_takes_no_other_with_it() -> None:
    """Its ids are named with what it said last; those that another part owes too."""
    parts = (
        Part(module="no_such_part", about="", ids=("a", "b")),
        Part(module="limits", about="", ids=("limit_memory", "c")),
    )
    seen: list[tuple[str, int, int]] = []
    told = run(quick=True, parts=parts, progress=lambda *of: seen.append(of))
    assert {one.id for one in told.figures} == {"limit_matrix_multiply", "limit_memory"}
    assert set(told.not_measured) == {"a", "b", "c"}
    assert "no_such_part" in told.not_measured["a"]
    assert [of[1:] for of in seen] == [(0, 2), (1, 2)]


@pytest.mark.parametrize(
    "breaks_by", [PeerError("no room"), KeyError("values"), ZeroDivisionError("no time")]
)
def test_peers_that_break_leave_what_was_measured(breaks_by: Exception) -> None:
    """However they break; only ids of peers without a figure are named."""

    def breaks(told: Run, _say: object) -> None:
        told.figures.append(figure("peer_river_hst"))
        raise breaks_by

    told = run(parts=(), peers=breaks, progress=lambda *_: None)
    assert set(told.not_measured) == set(PEER_IDS) - {"peer_river_hst"}
    assert set(told.not_measured.values()) == {f"{type(breaks_by).__name__}: {breaks_by}"}
    assert [one.id for one in told.figures] == ["peer_river_hst"]


def test_a_run_is_kept_as_it_was(tmp_path: Path) -> None:
    """What JSON cannot say comes back too."""
    told = a_run()
    keep(told, tmp_path / "run.json")
    again = kept(tmp_path / "run.json")
    assert math.isnan(again.figures[1].ratio)
    assert repr(again) == repr(told)


def test_json_lists_figures_alone_on_stdout_or_in_a_file(tmp_path: Path) -> None:
    """Each with id, figure, unit, ratio, against; null where nothing stands beside it."""
    keep(a_run(), tmp_path / "run.json")
    again = ["--again", str(tmp_path / "run.json")]
    code, said = called(*again, "--json")
    listed = json.loads(said)
    assert code == 0
    assert [one["id"] for one in listed] == ["mlp_hop1_gemm", "limit_memory", "ingest_columnar"]
    assert all({"id", "figure", "unit", "ratio", "against"} <= set(one) for one in listed)
    assert [one["ratio"] for one in listed] == [0.5, None, 0.5]
    assert [one["reached"] for one in listed] == [False, None, True]
    code, said = called(*again, "--json", str(tmp_path / "told.json"))
    assert json.loads((tmp_path / "told.json").read_text()) == listed
    assert "no wheel" in said


def test_a_part_that_there_is_not_is_refused_by_name() -> None:
    """With those that there are."""
    done = CliRunner().invoke(andon.app, ["bench", "speed", "--parts", "limits,hot_lop"])
    assert done.exit_code == 2
    assert "no part hot_lop" in done.stderr
    assert "hot_loop" in done.stderr


def test_what_was_not_measured_is_exit_code_one(tmp_path: Path) -> None:
    """With its reason; a figure that is not reached is none."""
    keep(a_run(not_measured={"conv_hop1": "the disk was full"}), tmp_path / "run.json")
    code, said = called("--again", str(tmp_path / "run.json"))
    assert code == 1
    assert "conv_hop1: the disk was full" in said


def test_tables_are_readable_in_eighty_columns(tmp_path: Path) -> None:
    """Ids, ratios and words whole, each figure on a line of its own; nothing is cut."""
    told = a_run()
    long = "engine_1000_assets_detector_share"
    told.figures += [
        figure(
            long, figure=2e-3, unit="calls a message", ratio=2 / 3e3, at_most=0.05, of_figure=True
        ),
        figure("default_1_asset_n1", figure=0.8, unit="M values/s", at_least=2.0, of_figure=True),
    ]
    keep(told, tmp_path / "run.json")
    _, said = called("--again", str(tmp_path / "run.json"))
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    for one, ratio, reached in (
        ("id", "ratio", "reached"),
        ("mlp_hop1_gemm", "0.500", "no"),
        ("ingest_columnar", "0.500", "yes"),
        (long, "0.000667", "yes"),
        ("default_1_asset_n1", "0.500", "no"),
    ):
        (line,) = [line for line in lines if line.startswith(f"{one} ")]
        assert f" {ratio} " in line
        assert line.split()[-1] == reached
    assert not {"…", "┃", "│"} & set(said)


def test_without_a_terminal_every_part_is_told_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes without a word would be taken for a hang; stdout holds the result alone."""
    monkeypatch.setattr(speed_run, "_part", lambda *_: None)
    done = CliRunner().invoke(andon.app, ["bench", "speed", "--json"])
    told = [f"part {i + 1} of {len(PARTS)}: {part.about}" for i, part in enumerate(PARTS)]
    assert done.stderr.splitlines() == told
    assert json.loads(done.stdout) == []


def test_the_report_has_every_figure_and_plot_and_nothing_that_runs(tmp_path: Path) -> None:
    """A plot for each curve and profile; what is absent is a dash."""
    keep(a_run(), tmp_path / "run.json")
    called("--again", str(tmp_path / "run.json"), "--html", str(tmp_path / "r.html"))
    soup = BeautifulSoup((tmp_path / "r.html").read_text("utf-8"), "html.parser")
    assert len(soup.find_all("svg")) == 2
    assert not soup.find_all(["script", "link", "img"])
    text = soup.get_text()
    for said in ("mlp_hop1_gemm", "limit_memory", "no wheel", "scoring"):
        assert said in text


def test_without_peers_their_ids_are_named_as_not_run() -> None:
    """In the page, so that nobody takes them for forgotten."""
    told = msgspec.structs.replace(a_run(), peers=None)
    assert all(one in markdown(told) for one in PEER_IDS)


def test_the_page_is_what_the_kept_run_gives() -> None:
    """Nobody has edited a figure; and it has every id, measured or with the reason why not."""
    told = kept(PAGE.with_suffix(".json"))
    text = PAGE.read_text("utf-8")
    assert text == markdown(told)
    assert all(f"`{one}`" in text for one in IDS)
    asked = {one.id for one in told.figures if one.reached is not None}
    assert asked | set(told.not_measured) >= ASKED
    assert not told.quick


def test_a_table_of_the_page_has_as_many_cells_in_every_row() -> None:
    """Whatever a peer says of itself."""
    text = markdown(a_run())
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


@given(value=st.floats(min_value=1e-6, max_value=1e12))
def test_a_number_is_shown_to_three_figures(value: float) -> None:
    """Within half a unit of the third."""
    shown, _, word = number(value).replace(",", "").partition(" ")
    assert word == ("million" if value >= 999_500 else "")
    assert float(shown) * (1e6 if word else 1) == pytest.approx(value, rel=0.0051)


# --- the plant ---


def parsed(data: bytes) -> Iterator[tuple[int, str, int, bytes]]:
    """QoS, topic, packet id and payload of each PUBLISH, by MQTT 3.1.1, 3.3."""
    at = 0
    while at < len(data):
        assert data[at] >> 4 == 3
        qos, at = data[at] >> 1 & 3, at + 1
        length = shift = 0
        while True:
            byte, at = data[at], at + 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body, at = data[at : at + length], at + length
        (size,) = struct.unpack(">H", body[:2])
        rest = body[2 + size :]
        mid = struct.unpack(">H", rest[:2])[0] if qos else 0
        yield qos, body[2 : 2 + size].decode(), mid, rest[2:] if qos else rest


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(("batch_rows", "form"), [(1, "json"), (20, "json"), (20, "block")])
def test_what_the_plant_sends_is_what_the_wire_reads(qos: int, batch_rows: int, form: str) -> None:
    """Every value of every asset, at its time; ids count on and never are 0."""
    load = Load(assets=3, channels=8, period_ms=8, rows=0, batch_rows=batch_rows)
    values = signals(load, rows=batch_rows, training=False)
    made = packets(load, values, qos, form)
    t_ms = 1_790_000_000_123
    made.stamp(t_ms, 65_530)
    found = list(parsed(made.data.tobytes()))
    assert [len(one) for one in (found, made.starts[1:])] == [3 if batch_rows > 1 else 24] * 2
    assert {one[0] for one in found} == {qos}
    ids = [one[2] for one in found]
    assert ids == ([(65_530 + k) % 65_535 + 1 for k in range(len(ids))] if qos else [0] * len(ids))
    seen = np.full(values.shape, np.nan)
    for _, topic, _, payload in found:
        asset = topic.split("/")[1]
        (readings,) = decode_readings(payload, topic=topic, asset=asset, received_ns=0)
        rows = (readings.t_ns // 10**6 - t_ms) // load.period_ms
        channels = [int(tag[1:]) for tag in readings.tags]
        seen[int(asset[1:]), rows[:, None], channels] = readings.values
    sent = values.astype(np.float32) if form == "block" else values
    np.testing.assert_array_equal(seen, sent)


# --- peers ---


@pytest.mark.not_counted
def test_a_peer_that_cannot_be_made_is_named_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One has no environment, one ends as it starts: our loops run, and both say why."""
    few = tuple(entry for entry in PEERS if entry.environment in {"river", "pyod"})

    def made(name: str, _directory: Path) -> Path:
        if name == "river":
            raise PeerError("river: no such wheel")
        return Path(sys.executable)  # where PyOD is not

    monkeypatch.setattr(beside, "python_of", made)
    monkeypatch.setattr(beside, "ROUND_S", 0.01)
    monkeypatch.setattr(beside, "recorded", lambda: recorded(assets=4, samples=128))
    told = Run(machine=look(), seconds=0.0, quick=True)
    beside.measure(told, directory=Path(), say=lambda _: None, entries=few)
    assert told.peers is not None
    errors = {peer.name: peer.error for peer in told.peers}
    ours = {name for name in errors if name.startswith("Andon, ")}
    assert len(ours) == len(OURS)
    assert set(errors) - ours == {entry.name for entry in few}
    assert not [errors[name] for name in ours if errors[name]]
    assert all(
        ("No module named 'pyod'" if "PyOD" in name else "no such wheel") in error
        for name, error in errors.items()
        if name not in ours
    )
    assert set(told.not_measured) == {name for entry in few for name, _ in figures_of(entry)}
    assert not told.figures


@pytest.mark.parametrize("name", ["mlp", "mlp_blocks", "pca", "pca_blocks"])
def test_a_loop_beside_a_peer_scores_a_window_for_each_sample(name: str) -> None:
    """In blocks too; and it says as many values as it took."""
    each = 64 if name.endswith("blocks") else 1
    assert OURS_MADE[name](recorded(assets=3, samples=128))() == 3 * 8 * each


def test_an_environment_is_made_once_and_anew_when_its_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was broken off half way is not taken for made."""
    steps: list[tuple[str, ...]] = []

    def create(where: Path, **_: object) -> None:
        (where / "bin").mkdir(parents=True, exist_ok=True)
        (where / "bin" / "python").touch()

    def install(_python: Path, packages: tuple[str, ...]) -> None:
        steps.append(packages)
        if len(steps) == 2:
            raise PeerError("the index went away")

    monkeypatch.setattr("benchmarks.speed.peers.environments.venv.create", create)
    monkeypatch.setattr("benchmarks.speed.peers.environments._install", install)
    with pytest.raises(PeerError, match="went away"):
        python_of("numalogic", tmp_path)
    python = python_of("numalogic", tmp_path)
    assert python_of("numalogic", tmp_path) == python == tmp_path / "numalogic" / "bin" / "python"
    assert len(steps) == 2 + len(ENVIRONMENTS["numalogic"].steps)
    wanted = msgspec.json.decode(b'["a==1"]')
    changed = type(ENVIRONMENTS["numalogic"])(name="numalogic", steps=(tuple(wanted),))
    monkeypatch.setitem(ENVIRONMENTS, "numalogic", changed)
    python_of("numalogic", tmp_path)
    assert steps[-1] == ("a==1",)


def test_the_recorded_stream_is_whole_and_moves() -> None:
    """Every channel of every robot, without holes; no two robots alike."""
    stream = recorded(assets=3, samples=200)
    assert stream.shape == (200, 3, 8)
    assert stream.dtype == np.float32
    assert np.isfinite(stream).all()
    assert (stream.std(axis=0) > 0).all()
    assert not np.array_equal(stream[:, 0], stream[:, 1])
    assert {part.module for part in PARTS} >= {"gateway", "costs", "limits"}
