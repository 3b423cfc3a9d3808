"""One calibration told five ways, each through real files and a real snapshot or a real command.

Witnessed, the same job comes of each and keeps the same disturbance quiet; unwitnessed, each only
annotates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.knowledge.known import knowledge_of
from edge.records import TextTold, Verdict, Witness
from edge.storage.notebook import Notebook
from edge.trust import TrustSettings
from kb.records import WorkKind
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.edge.rig import START, Rig, S, settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge.desk import Knowledge
    from edge.records import Job

BEGIN_S: Final = 400  # of the script: 2025-10-09T09:00Z, eleven o'clock in Berlin
END_S: Final = 700
TOLD_S: Final = 380  # when a person confirms it or checks it in
SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,gas_flow,c1,0.3,30,60,qa,2025-01-15T08:00:00+01:00
calibration,r11,gas_flow,c2,0.3,30,60,qa,2025-01-15T08:00:00+01:00
"""
ORDER: Final = {
    "order_id": "WO-1",
    "asset": "r1",
    "kind": "calibration",
    "instrument": "gas_flow",
    "status": "APPR",
    "start": "2025-10-09T11:00:00+02:00",
    "end": "2025-10-09T11:05:00+02:00",
    "recorded_at": "2025-10-09T08:00:00+02:00",
    "approved_by": "planner",
    "description": "gas flow calibration",
}
CALENDAR: Final = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//plant//maintenance//EN
BEGIN:VEVENT
UID:cal-1@plant
DTSTAMP:20251009T060000Z
DTSTART;TZID=Europe/Berlin:20251009T110000
DURATION:PT5M
SUMMARY:gas flow calibration
LOCATION:r1
RESOURCES:gas_flow
END:VEVENT
END:VCALENDAR
"""
SAID: Final = "R1 gas flow cal 11:00-11:05"
LOG: Final = f"# zone: Europe/Berlin\n2025-10-09 10:54 {SAID}, JT\n"
HEAD: Final = ",".join(ORDER)
UNAPPROVED: Final = {**ORDER, "status": "WAPPR"}
TABLES: Final = {
    "order": {"orders.csv": f"{HEAD}\n{','.join(ORDER.values())}\n"},
    "calendar": {"plan.ics": CALENDAR.replace("\n", "\r\n")},
    "jsonl": {"orders.jsonl": msgspec.json.encode(UNAPPROVED).decode() + "\n"},
    "mqtt": {},
    "log": {"logs/shift.log": LOG},
}
WAYS: Final = tuple(TABLES)


def known(place: Path, files: dict[str, str]) -> Knowledge:
    """What the engine is to know of a snapshot of these files and the scope table."""
    for name, text in {"scope.csv": SCOPE, **files}.items():
        path = place / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    build(place / "texts", place / "snapshot", now_ns=START + TOLD_S * S)
    with Snapshot.open(place / "snapshot") as snapshot:
        assert not snapshot.manifest.quarantined
        found = knowledge_of(snapshot, TrustSettings())
    assert found is not None
    return found


def witnessed(place: Path, way: str) -> Rig:
    """A plant in which the work is told one way and witnessed, run up to its begin."""
    rig = Rig(known=known(place, TABLES[way]))
    rig.run(TOLD_S)
    if way == "mqtt":
        times = {"valid_from": BEGIN_S, "valid_to": END_S}
        answer = rig.command(
            "job", action="check_in", asset="r1", kind="calibration", instrument="gas_flow",
            **{name: (START + at * S) // 1_000_000 for name, at in times.items()},
        )  # fmt: skip
        assert answer["done"], answer
    elif way != "order":
        (proposal,) = rig.known.proposals if rig.known else ()
        assert rig.command("confirm", proposal_id=proposal.proposal_id)["done"]
    rig.run(BEGIN_S - TOLD_S)
    return rig


def unwitnessed(place: Path, way: str) -> Rig:
    """The same without a witness: an order that nobody approved, a text over MQTT."""
    files = dict(TABLES[way])
    if way == "order":
        files = {"orders.csv": f"{HEAD}\n{','.join(UNAPPROVED.values())}\n"}
    if way == "mqtt":
        texts = place / "texts"
        texts.mkdir(parents=True)
        told = Rig(conf=settings(texts=True))
        told.run(60)
        assert told.command("text", asset="r1", text="gas flow cal 09:00-09:05")["done"]
        (said,) = (effect for effect in told.effects if isinstance(effect, TextTold))
        notebook = Notebook(texts, None)
        notebook.write([said])
        notebook.stop()
    rig = Rig(known=known(place, files))
    rig.run(BEGIN_S)
    return rig


def test_times_of_a_text_count_in_the_zone_that_is_configured(tmp_path: Path) -> None:
    """The same calibration as in the log, sent over MQTT: confirmed, it is the same job."""
    texts = tmp_path / "texts"
    texts.mkdir()
    told = Rig(conf=settings(texts=True, texts_zone="Europe/Berlin"))
    told.run(60)
    (texts / "inbox").mkdir()
    (texts / "inbox" / "2025-10-09.log").write_text(
        "2025-10-09 08:00:00Z r1 noted before the zone was configured, JT\n", encoding="utf-8"
    )
    answer = told.command("text", asset="r1", text=SAID.removeprefix("R1 "))
    assert "not read" not in answer["detail"]
    said = [effect for effect in told.effects if isinstance(effect, TextTold)]
    for _ in range(2):  # a restart notes it once
        notebook = Notebook(texts, None, zone="Europe/Berlin")
        notebook.write(said)
        notebook.sync()
        notebook.stop()
    (log,) = (texts / "inbox").iterdir()
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [lines[0], len(lines)] == ["# zone: Europe/Berlin", 3]
    rig = Rig(known=known(tmp_path, {}))
    (proposal,) = rig.known.proposals if rig.known else ()
    assert proposal.valid_from_ns == START + BEGIN_S * S
    assert proposal.valid_to_ns == START + END_S * S
    rig.run(TOLD_S)
    assert rig.command("confirm", proposal_id=proposal.proposal_id)["done"]
    rig.run(BEGIN_S - TOLD_S + 20)
    rig.run(60, {"c1": 6})
    assert rig.said() == ["suppressed"]


def test_without_a_zone_the_answer_says_that_times_are_not_read() -> None:
    """Whoever writes 06:40 means a time; a text without figures names none."""
    told = Rig(conf=settings(texts=True))
    told.run(60)
    detail = told.command("text", asset="r1", text="torch clean 0640-0720")["detail"]
    assert "[kb] timezone is not configured" in detail
    assert "timezone" not in told.command("text", asset="r1", text="torch clean")["detail"]


def facts(job: Job) -> tuple[object, ...]:
    """What decides of a job; who told it, and when, may differ."""
    return (
        job.kind, job.asset, job.functional_location, job.valid_from_ns, job.valid_to_ns,
        job.scope, job.scope_id != "", job.expected_effect, job.fuse_s, job.settle_s,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_witnessed_it_is_the_same_job_and_keeps_the_same_quiet(tmp_path: Path, way: str) -> None:
    """Its scope is the table's, its times those that were told, its fuse no longer than them."""
    rig = witnessed(tmp_path, way)
    rig.run(20)
    (run,) = rig.runs
    begin_ns, end_ns = START + BEGIN_S * S, START + END_S * S
    assert facts(run.job)[:6] == (
        WorkKind.CALIBRATION, "r1", "gas_flow", begin_ns, end_ns, ("c1",),
    )  # fmt: skip
    assert facts(run.job)[6:] == (True, 0.3, 1800, 60)
    assert run.job.witness is (Witness.ORDER if way == "order" else Witness.PERSON)
    rig.run(60, {"c1": 6})
    assert rig.said() == ["suppressed"]
    event = rig.events()[0]
    assert event["decision"] == Verdict.SUPPRESSED
    assert event["job_id"] == run.job.job_id
    rig.run(END_S - rig.at)
    rig.run(120)
    assert "ALERT" not in rig.said()
    assert "ANNOTATED" not in rig.said()


@pytest.mark.parametrize("way", WAYS)
def test_witnessed_it_covers_no_other_channel(tmp_path: Path, way: str) -> None:
    """However it was told, a channel outside the scope rings, alone or beside one within."""
    rig = witnessed(tmp_path, way)
    rig.run(20)
    rig.run(40, {"c1": 6, "c3": 6})
    assert rig.said()[-1] in {"ALERT", "ANNOTATED"}
    assert "suppressed" not in rig.said()


@pytest.mark.parametrize("way", WAYS)
def test_unwitnessed_each_only_annotates(tmp_path: Path, way: str) -> None:
    """The same disturbance at the same time rings at lower priority, with the quote."""
    rig = unwitnessed(tmp_path, way)
    rig.run(20)
    rig.run(60, {"c1": 6})
    assert rig.said()[0] == "ANNOTATED"
    assert "suppressed" not in rig.said()
    event = rig.events()[0]
    assert any("confirm?" in sentence["text"] for sentence in event["explanation"])
    assert rig.runs == []


@pytest.mark.parametrize("way", WAYS)
def test_unwitnessed_it_leaves_the_neighbour_alone(tmp_path: Path, way: str) -> None:
    """What rings on r11 is not about the work on r1, whose name begins its own."""
    rig = unwitnessed(tmp_path, way)
    rig.run(20)
    rig.run(60, other={"c1": 6})
    assert rig.said("r11")[0] == "ALERT"
