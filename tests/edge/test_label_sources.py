"""Where labels come from: tables of people, closed orders, feedback in a journal."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import andon
from edge.labels.book import read_labels
from edge.labels.modes import ModeNames
from edge.labels.table import table_labels, times_of
from edge.recordings.recording import journal_messages
from edge.replays.rerun import kept_of
from edge.tuning.replay import open_recording, replay
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import save
from tests.edge.label_plant import LASTS, S, asset, bundle, struck, word, written

if TYPE_CHECKING:
    from pathlib import Path

    from edge.recordings.recording import TimedMessage

MODES = """\
mode,asset,channels,cause,action
gas_flow_loss,,CO2 Weld Flow:low,nozzle blocked,clean the nozzle
wire_feed_slip,,Wire Consumed:low,rolls worn,change the rolls
contact_tip_wear,,Secondary Weld Voltage:high,tip worn,change the tip
"""
DAY = "2026-03-02T"
REPAIR = "W{},r1,repair,{},2026-03-02T18:00:00+01:00,{},{},{},{}\n"
COLUMNS = (
    "order_id,asset,kind,status,recorded_at,failure_code,reported_at,actual_start,description\n"
)
ORDERS = COLUMNS + "".join(
    REPAIR.format(number, status, code, *(f"{DAY}{at}:00+01:00" if at else "" for at in when), said)
    for number, status, code, when, said in (
        (1, "COMP", "GF01", ("10:00", "11:00"), "no gas"),
        (2, "CLOSE", "", ("12:00", "12:30"), "corrective: wire feed slip repaired"),
        (3, "COMP", "", ("13:00", "13:30"), "corrective: something broken"),
        (4, "COMP", "GF01", ("", ""), "no gas"),
        (5, "CLOSE", "", ("", ""), "calibration of the flow meter"),
        (6, "APPR", "GF01", ("10:00", "11:00"), "no gas"),
    )
)


def ns(text: str) -> int:
    """A time as a test writes it."""
    at = datetime.fromisoformat(text).astimezone(UTC)
    return int(at.timestamp()) * S


@pytest.mark.parametrize(
    ("cell", "zone", "expected"),
    [
        ("2026-03-02 14:00+01:00", "", "2026-03-02T13:00+00:00"),
        ("2026-03-02T13:00:00Z", "", "2026-03-02T13:00+00:00"),
        ("2026-03-02 14:00", "Europe/Berlin", "2026-03-02T13:00+00:00"),
        ("02.03.2026 14:00", "Europe/Berlin", "2026-03-02T13:00+00:00"),
        ("31/03/2026 14:00:00 UTC", "", "2026-03-31T14:00+00:00"),
        ("1772456400", "", "2026-03-02T13:00+00:00"),
        ("1772456400000", "", "2026-03-02T13:00+00:00"),
    ],
)
def test_times_are_read_as_people_write_them(cell: str, zone: str, expected: str) -> None:
    """Computed by hand: Berlin is an hour ahead in March, before the clocks change."""
    assert times_of([cell], zone) == [ns(expected)]


@pytest.mark.parametrize(
    ("cell", "zone", "why"),
    [
        ("2026-03-02 14:00", "", "no time zone"),
        ("03/02/2026 14:00", "UTC", "may be two days"),
        ("yesterday", "UTC", "no time with a date"),
        ("14:00", "UTC", "no time with a date"),
        ("", "UTC", "empty"),
    ],
)
def test_a_time_that_cannot_be_told_says_why(cell: str, zone: str, why: str) -> None:
    """Nothing is guessed: neither a zone, nor a day, nor a month."""
    (found,) = times_of([cell], zone)
    assert isinstance(found, str)
    assert why in found


def test_a_table_gives_its_good_rows_and_names_the_bad_ones(tmp_path: Path) -> None:
    """Columns by other names, a semicolon between cells, each mistake with its line."""
    table = tmp_path / "found.csv"
    table.write_text(
        "Machine;From;Until;Failure Mode;Who;Comment\n"
        "r1;2026-03-02 10:00Z;2026-03-02 10:05Z;Gas Flow Loss;ann;hissing\n"
        "r1;2026-03-02 11:00Z;2026-03-02 11:05Z;NUISANCE;ann;\n"
        "r1;2026-03-02 12:00Z;2026-03-02 11:55Z;nuisance;ann;\n"
        "r1;2026-03-02 12:00Z;2026-03-02 12:05Z;gas_flow_los;ann;\n"
        "r1;2026-03-02 12:00;2026-03-02 12:05Z;nuisance;ann;\n"
        ";2026-03-02 12:00Z;2026-03-02 12:05Z;nuisance;ann;\n"
        "r1;2026-03-02 12:00Z;nuisance;ann;\n",
        encoding="utf-8",
    )
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "failure_modes.csv").write_text(MODES, encoding="utf-8")
    build(folder, tmp_path / "snap", now_ns=ns("2026-04-01T00:00+00:00"))
    with Snapshot.open(tmp_path / "snap") as snapshot:
        labels, bad = table_labels(table, names=ModeNames(snapshot.failure_modes()))
    assert [(one.label, one.said_by, one.quote) for one in labels] == [
        ("gas_flow_loss", "ann", "hissing"),
        ("nuisance", "ann", ""),
    ]
    assert labels[0].begin_ns == ns("2026-03-02T10:00+00:00")
    told = {one.place: one.because for one in bad}
    assert set(told) == {f"found.csv:{line}" for line in (4, 5, 6, 7, 8)}
    assert "did you mean gas_flow_loss" in told["found.csv:5"]
    assert "time zone" in told["found.csv:6"]
    assert "asset is empty" in told["found.csv:7"]


def test_closed_orders_give_labels_by_code_or_by_the_words_of_one_mode(tmp_path: Path) -> None:
    """Through a real snapshot and the command; what cannot be used is named with its row."""
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "failure_modes.csv").write_text(MODES, encoding="utf-8")
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (tmp_path / "codes.csv").write_text("code,label\nGF01,gas_flow_loss\n", encoding="utf-8")
    build(folder, tmp_path / "snap", now_ns=ns("2026-04-01T00:00+00:00"))
    file = tmp_path / "labels.jsonl"
    options = ["label", str(file), "--kb", str(tmp_path / "snap"), "--orders"]
    options += ["--codes", str(tmp_path / "codes.csv"), "--json"]
    done = CliRunner().invoke(andon.app, options)
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert [(one["reference"], one["label"]) for one in told["added"]] == [
        ("W1", "gas_flow_loss"),
        ("W2", "wire_feed_slip"),
    ]
    first = read_labels(file)[0]
    assert first.begin_ns == ns("2026-03-02T10:00+01:00")
    assert first.end_ns == ns("2026-03-02T11:00+01:00")
    assert [one["place"].split()[-1] for one in told["bad"]] == ["W3", "W4"]
    assert told["passed"] == 2  # planned work, and what is not closed
    again = json.loads(CliRunner().invoke(andon.app, options).stdout)
    assert (again["added"], again["known"], again["lines"]) == ([], 2, 2)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of the welding robot in which people have said what they think of its alerts."""
    folder = tmp_path_factory.mktemp("heard")
    save(bundle(), folder / "bundle")
    first = open_recording(written(folder / "before", rounds=1), bundle())
    rang = [one for one in replay(first, bundle(), snapshot=None).episodes if one.rang]
    alert = rang[0].alert_id
    faults = struck(1).truth.faults
    said: list[TimedMessage] = []
    for fault, label, by, note in (
        (faults[0], "real", "ann", "Contact tip wear"),
        (faults[1], "real", "ann", "smelled odd"),
        (faults[1], "nuisance", "bob", ""),
        (faults[2], "unsure", "ann", ""),
        (faults[-1], "nuisance", "ann", "dust"),
    ):
        said.append(word(fault.end_ns + S * len(said), alert, label, by=by, note=note))
    said.append(word(faults[2].end_ns, "r1-process-nobody", "real", by="ann"))
    said.append(word(faults[2].end_ns, alert, "perhaps", by="ann"))
    stale = word(0, alert, "nuisance", by="ann", note="too old to be taken")
    said.append(dataclasses.replace(stale, t_ns=faults[-1].end_ns))
    written(folder / "after", said=said, rounds=1)
    (folder / "failure_modes.csv").write_text(MODES, encoding="utf-8")
    return folder


def test_feedback_becomes_labels_of_the_events_that_it_was_about(heard: Path) -> None:
    """Each word is about the event that was there, not about all that one alert id has seen."""
    file, journal = heard / "labels.jsonl", heard / "after" / "recording"
    options = ["label", str(file), "--journal", str(journal), "--bundle", str(heard / "bundle")]
    options += ["--codes", str(heard / "codes.csv"), "--json"]
    (heard / "codes.csv").write_text(
        "code,label\nContact tip wear,contact_tip_wear\n", encoding="utf-8"
    )
    done = CliRunner().invoke(andon.app, options)
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    faults = struck(1).truth.faults
    about = [faults[0], faults[1], faults[1], faults[-1]]
    assert [(one["label"], one["said_by"]) for one in told["added"]] == [
        ("contact_tip_wear", "ann"),
        ("real", "ann"),
        ("nuisance", "bob"),
        ("nuisance", "ann"),
    ]
    for one, fault in zip(told["added"], about, strict=True):
        assert one["asset"] == asset()
        assert fault.begin_ns <= one["begin_ns"] < fault.begin_ns + LASTS * S
        assert one["end_ns"] > one["begin_ns"]
    assert [one["quote"] for one in told["added"]][-1] == "dust"
    reasons = " ".join(one["because"] for one in told["bad"])
    assert "unsure" in reasons
    assert "no such alert" in reasons
    assert "perhaps" in reasons  # refused by the engine, in its words
    assert len(told["conflicts"]) == 1
    assert json.loads(CliRunner().invoke(andon.app, options).stdout)["added"] == []


def test_what_was_heard_stands_in_the_journal_as_it_was_sent(heard: Path) -> None:
    """The rig itself: eight words were sent, and the journal is one that `kept_of` opens."""
    journal = heard / "after" / "recording"
    sent = [m for m in journal_messages(journal) if m.topic.endswith("/feedback")]
    assert len(sent) == 8
    kept = kept_of(None, journal=journal, bundle=heard / "bundle", snapshot=None)
    assert kept.settings.site == "weldcell"


def test_a_wrong_label_is_withdrawn_with_a_reason_and_by_name(heard: Path, tmp_path: Path) -> None:
    """It stays in the file, and stands no more."""
    table, file = tmp_path / "t.csv", tmp_path / "labels.jsonl"
    table.write_text(
        "asset,begin,end,label\nr1,2026-03-02 10:00Z,2026-03-02 10:05Z,worn\n", encoding="utf-8"
    )
    runner = CliRunner()
    assert runner.invoke(andon.app, ["label", str(file), "--table", str(table)]).exit_code == 0
    (one,) = read_labels(file)
    listed = runner.invoke(andon.app, ["label", str(file)]).output
    assert f"{one.label_id} r1 2026-03-02T10:00:00+00:00 to 2026-03-02T10:05:00" in listed
    shown = runner.invoke(andon.app, ["label", str(file), "--json"])
    assert list(json.loads(shown.stdout)["stand"]) == [one.label_id]
    nothing = ["label", str(file), "--withdraw", "", "--because", "lost"]
    assert runner.invoke(andon.app, nothing).exit_code != 0
    options = ["label", str(file), "--withdraw", one.label_id, "--by", "bea"]
    refused = runner.invoke(andon.app, options)
    assert refused.exit_code != 0
    done = runner.invoke(andon.app, [*options, "--because", "wrong robot", "--json"])
    assert done.exit_code == 0, done.output
    assert len(read_labels(file)) == 2
    assert read_labels(file)[1].said_by == "bea"
    shown = runner.invoke(andon.app, ["label", str(file), "--json"])
    assert json.loads(shown.stdout)["standing"] == 0
    assert heard.is_dir()
