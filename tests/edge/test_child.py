"""Rows of jobs are not learned from, and what a job leaves behind is proposed, never adopted."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import andon
from edge.bundles.child import ProposalRequest, adopt_bundle, adoption_doubts, propose_bundle
from edge.bundles.limit_bundle import fit_limits
from edge.bundles.training import FitRequest, fit_bundle, fit_recording, journal_samples
from edge.configuration.config import load as load_config
from edge.errors import ConfigError, RecordingError
from edge.records import Job, JobState, MessageReceived, Witness
from edge.settings import AssetSettings, GatewaySettings
from edge.storage.journal_writer import JournalWriter
from kb.records import WorkKind
from kb.snapshots.build import build
from models.bundles.bundle import CONTAMINATED
from models.bundles.store import load
from models.errors import ModelError
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

LIMITS: Final = """\
asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at
r1,c0,bar,,,,2.5,process engineer,2026-01-10T08:00:00Z
"""
S: Final = 10**9
START: Final = 1_760_000_000 * S
ROWS: Final = 6_000
BEGIN, END = 2_000, 2_300  # of the calibration, rows
SETTLE_S: Final = 300
GATEWAY: Final = """\
site = "s"
[model]
bundle = "bundles/first" # fitted when the line was new
[[asset]]
id = "r1"
context = [{ tag = "cal", role = "witness", kind = "calibration" }]
"""


def message(row: int, values: NDArray[np.float64], **context: float) -> MessageReceived:
    """One second of r1: values (c,)."""
    body = {"ts": (START + row * S) // 10**6} | {f"c{k}": v for k, v in enumerate(values.tolist())}
    payload = msgspec.json.encode(body | context)
    return MessageReceived(topic="plant/r1", payload=payload, received_ns=START + row * S)


def command(row: int, name: str, **body: Any) -> MessageReceived:  # noqa: ANN401
    """What the operator ann sent."""
    payload = msgspec.json.encode({"ts": (START + row * S) // 10**6, **body})
    at_ns = START + row * S
    return MessageReceived(topic=f"andon/s/cmd/ann/{name}", payload=payload, received_ns=at_ns)


class Cell:
    """A plant with a gateway: one asset of three channels, a calibration that leaves a mark."""

    def __init__(self, folder: Path, *, mark: float = 0.0) -> None:
        """mark: lasting change of c1 by the calibration, in sigmas."""
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.config.write_text(GATEWAY, encoding="utf-8")
        self.values = plant(ROWS, seed=5, c=3)
        self.sigma = self.values.std(axis=0)
        self.values[BEGIN:END] += 20 * self.sigma  # the work itself: far from normal
        self.values[END:, 1] += mark * self.sigma[1]

    def journal(
        self,
        name: str,
        *,
        rows: range = range(ROWS),
        witness: bool = False,
        more: tuple[MessageReceived, ...] = (),
    ) -> Path:
        """A journal of some rows."""
        cal = {"cal": 1.0} if witness else {}
        taken = [
            message(i, self.values[i], **({"cal": 0.0} | cal if BEGIN <= i < END else {"cal": 0.0}))
            for i in rows
        ]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = JournalWriter(path, sync_s=3600.0)
        ordered = sorted([*taken, *more], key=lambda sent: sent.received_ns)
        writer.append([(sent.received_ns, sent) for sent in ordered])
        writer.close()
        return path

    def fit(self, journal: Path, out: str, **more: Any) -> tuple[Bundle, str]:  # noqa: ANN401
        """The bundle, and what was printed."""
        console = Console(file=io.StringIO(), width=200)
        place = self.folder / out
        fit_recording(
            FitRequest(recording=journal, out=place, config=self.config, **more), console=console
        )
        assert isinstance(console.file, io.StringIO)
        return load(place), console.file.getvalue()

    def propose(self, **more: Any) -> tuple[Path | None, str]:  # noqa: ANN401
        """Where the child is, and what was printed."""
        console = Console(file=io.StringIO(), width=200)
        out = propose_bundle(ProposalRequest(config=self.config, **more), console=console)
        assert isinstance(console.file, io.StringIO)
        return out, console.file.getvalue()


def job(**change: Any) -> Job:  # noqa: ANN401
    """The calibration as a line of a file of jobs."""
    told = Job(
        job_id="cal-7",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        functional_location="",
        valid_from_ns=START + BEGIN * S,
        valid_to_ns=START + END * S,
        witness=Witness.ORDER,
        opened_by="x",
        opened_at_ns=0,
        recorded_at_ns=0,
        source="file",
        scope=(),
        expected_effect=0.0,
        settle_s=SETTLE_S,
        fuse_s=3600,
        state=JobState.CLOSED,
    )
    return msgspec.structs.replace(told, **change)


def told_by(how: str, cell: Cell) -> tuple[Path, dict[str, Any]]:
    """A journal with the calibration, told in one of the ways, and options of the fit."""
    check = {"asset": "r1", "kind": "calibration"}
    end = command(END, "job", action="check_out", **check)
    if how == "signal":
        return cell.journal("j", witness=True), {}
    if how == "command":
        began = command(BEGIN, "job", action="check_in", job_id="cal-7", **check)
        return cell.journal("j", more=(began, end)), {}
    if how == "file":
        path = cell.folder / "jobs.jsonl"
        others = [job(job_id="p", state=JobState.PROPOSED, valid_from_ns=0), job(asset="r9")]
        path.write_bytes(b"\n".join(msgspec.json.encode(one) for one in [job(), *others]))
        return cell.journal("j"), {"jobs": path}
    source = cell.folder / "texts"
    source.mkdir()
    (source / "orders.csv").write_text(
        "order_id,kind,asset,instrument,status,start,end,recorded_at,description\n"
        "cal-7,calibration,r1,,approved,2025-10-09T09:26:40Z,2025-10-09T09:31:40Z,"
        "2025-10-09T08:00:00Z,calibration of the force sensor\n",
        encoding="utf-8",
    )
    build(source, cell.folder / "kb", now_ns=START)
    return cell.journal("j"), {"kb": cell.folder / "kb"}


@pytest.mark.parametrize("how", ["signal", "command", "file", "order"])
def test_rows_of_a_job_are_left_out_however_it_was_told(tmp_path: Path, how: str) -> None:
    """The same calibration told four ways; the fit is the one of a record without those rows."""
    cell = Cell(tmp_path)
    journal, options = told_by(how, cell)
    bundle, said = cell.fit(journal, "bundle", **options)
    (model,) = bundle.assets
    assert model.training.rows_excluded == END - BEGIN + SETTLE_S
    assert model.training.rows_used == ROWS - model.training.rows_excluded
    assert len(model.training.jobs_excluded) == 1
    if how != "signal":
        assert model.training.jobs_excluded == ("cal-7",)
    name = model.training.jobs_excluded[0]
    assert f"{model.training.rows_excluded} rows left out" in said
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{name} (600 rows, settling included)" in card
    keep = np.ones(ROWS, bool)
    keep[BEGIN : END + SETTLE_S] = False
    clean = np.median(cell.values[keep], axis=0)
    assert np.allclose(model.center, clean, atol=0.15 * cell.sigma)
    assert np.allclose(model.sigma, cell.values[keep].std(axis=0), rtol=0.1)
    untold, said = cell.fit(cell.journal("all"), "untold")
    assert untold.assets[0].training.jobs_excluded == ()
    assert untold.assets[0].metrics[CONTAMINATED] > 0.8 * (END - BEGIN), "it matters"
    assert "rows left out: they were unlike the rest" in said


def test_no_lag_reaches_over_rows_that_were_left_out(tmp_path: Path) -> None:
    """The fit is the one that a hole in the record gives, to the last bit of its parameters."""
    cell = Cell(tmp_path)
    journal, options = told_by("file", cell)
    ours, _ = cell.fit(journal, "ours", **options)
    values = cell.values.copy()
    cell.values[BEGIN : END + SETTLE_S] = np.nan
    blank, _ = cell.fit(cell.journal("holed"), "blank")
    cell.values = values
    for name, array in ours.only.parameters.items():
        assert np.array_equal(array, blank.only.parameters[name], equal_nan=True), name
    assert ours.assets[0].threshold_on == blank.assets[0].threshold_on


def test_a_confirmed_proposal_that_nothing_explains_is_said(tmp_path: Path) -> None:
    """Without the snapshot nobody knows which asset it was about."""
    cell = Cell(tmp_path)
    journal = cell.journal("j", more=(command(BEGIN, "confirm", proposal_id="WO-1"),))
    _, said = cell.fit(journal, "bundle")
    assert "WO-1" in said
    assert "--kb may know" in said


def test_jobs_need_times(tmp_path: Path) -> None:
    """A table of bare rows cannot say which of them a job touched."""
    values = plant(400, seed=1, c=2)
    lines = ["a,b", *(f"{a},{b}" for a, b in values.tolist())]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        'asset = "t"\n[time]\nperiod_s = 1.0\n[channels]\na = { unit = "" }\nb = { unit = "" }\n',
        encoding="utf-8",
    )
    (tmp_path / "jobs.jsonl").write_bytes(msgspec.json.encode(job(asset="t")))
    request = FitRequest(
        recording=tmp_path / "t.csv",
        out=tmp_path / "b",
        mapping=mapping,
        jobs=tmp_path / "jobs.jsonl",
    )
    with pytest.raises(RecordingError, match="has no times"):
        fit_recording(request, console=Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """A gateway whose calibration left a lasting change of 0.4 sigma; its bundle is of before."""
    cell = Cell(tmp_path_factory.mktemp("cell"), mark=0.4)
    cell.fit(cell.journal("before", rows=range(BEGIN)), "bundles/first")
    cell.journal("state/journal", witness=True)
    return cell


def test_a_lasting_change_moves_the_childs_usual_range_and_the_parent_stays(marked: Cell) -> None:
    """Of c1 by about what the calibration left; of the others by what chance does."""
    before = marked.config.read_bytes()
    parent = load(marked.folder / "bundles" / "first")
    out, said = marked.propose()
    assert out is not None
    assert out.parent == marked.folder / "bundles" / "proposed"
    child = load(out)
    assert child.parent == parent.sha256
    (old,), (new,) = parent.assets, child.assets
    moved = (new.center - old.center) / old.sigma
    assert 0.25 < moved[1] < 0.55
    assert abs(moved[0]) < 0.15
    assert abs(moved[2]) < 0.15
    width = old.usual_high[1] - old.usual_low[1]
    assert (new.usual_low[1] - old.usual_low[1]) / width > 0.04
    assert new.training.rows[0] >= END + SETTLE_S
    assert new.training.rows_used < ROWS - END - SETTLE_S, "the newest are held back"
    assert marked.config.read_bytes() == before, "nothing is adopted by itself"
    assert load_config(marked.config).model.bundle == "bundles/first"
    for part in ("threshold", "usual c1", "level moved by +0.", "alerts a day", "held back"):
        assert part in said
    assert f"andon adopt-bundle {marked.config} {out}" in said
    again, _ = marked.propose()
    assert again == out, "the same journal proposes the same bundle"


def test_a_fault_in_the_rows_fitted_on_is_said(tmp_path: Path) -> None:
    """Who adopts a child of faulty rows would never hear of the fault again."""
    cell = Cell(tmp_path)
    cell.fit(cell.journal("before", rows=range(BEGIN)), "bundles/first")
    calm = cell.journal("calm", witness=True)
    cell.values[3_500:3_560, 2] += 12 * cell.sigma[2]
    cell.journal("state/journal", witness=True)
    assert "must not be adopted" in cell.propose()[1]
    assert "must not be adopted" not in cell.propose(journal=calm)[1]


def test_too_few_rows_since_the_job_say_how_many_are_missing(tmp_path: Path) -> None:
    """And nothing is written."""
    cell = Cell(tmp_path)
    cell.fit(cell.journal("before", rows=range(BEGIN)), "bundles/first")
    rows = range(END + SETTLE_S + 700)
    cell.journal("state/journal", rows=rows, witness=True)
    out, said = cell.propose()
    assert out is None
    assert "700 rows since" in said
    assert "300 more are needed" in said
    assert not (tmp_path / "bundles" / "proposed").exists()
    assert cell.propose(rows_min=600)[0] is not None


def test_without_a_closed_job_there_is_nothing_to_propose(tmp_path: Path) -> None:
    """Nor while one is open, or has not settled."""
    cell = Cell(tmp_path)
    cell.fit(cell.journal("before", rows=range(BEGIN)), "bundles/first")
    for name, rows, witness in (
        ("none", range(BEGIN), False),
        ("open", range(END - 5), True),
        ("settling", range(END + SETTLE_S - 5), True),
    ):
        journal = cell.journal(name, rows=rows, witness=witness)
        out, said = cell.propose(journal=journal)
        assert out is None
        assert "no job has closed" in said


def test_one_command_adopts_and_touches_nothing_else(marked: Cell, tmp_path: Path) -> None:
    """The line of the bundle changes; comments and everything else stay."""
    out, _ = marked.propose()
    assert out is not None
    config = marked.folder / "adopted.toml"
    config.write_text(GATEWAY, encoding="utf-8")
    assert adopt_bundle(config, out) == "bundles/first"
    named = f"bundles/proposed/{out.name}"
    assert config.read_text(encoding="utf-8") == GATEWAY.replace("bundles/first", named)
    assert load_config(config).path(named).resolve() == out.resolve()
    for text in (GATEWAY.replace('bundle = "', 'bundle = """').replace('first"', 'first"""'),):
        config.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="by hand"):
            adopt_bundle(config, out)
        assert config.read_text(encoding="utf-8") == text
    with pytest.raises(ConfigError, match="is no bundle"):
        adopt_bundle(config, tmp_path)
    (damaged := tmp_path / "damaged").mkdir()
    (damaged / "manifest.json").write_bytes(b"{}")
    with pytest.raises(ModelError):
        adopt_bundle(config, damaged)


def test_what_knows_less_or_is_no_child_is_adopted_on_demand_only(
    marked: Cell, tmp_path: Path
) -> None:
    """The command names what would be lost, changes nothing and ends with 1."""
    out, _ = marked.propose()
    assert out is not None
    config = marked.folder / "doubtful.toml"
    config.write_text(GATEWAY, encoding="utf-8")
    assert adoption_doubts(config, out) == []
    assert adoption_doubts(config, marked.folder / "bundles" / "first") == []
    table = tmp_path / "limits.csv"
    table.write_text(LIMITS, encoding="utf-8")
    bare = marked.folder / "bundles" / "bare"
    fit_limits(table, bare, period_s=1.0, into=None, console=Console(file=io.StringIO()))
    arguments = ("adopt-bundle", str(config), str(bare))
    refused = CliRunner().invoke(andon.app, arguments)
    assert refused.exit_code == 1
    for part in ("nothing was learned of r1", "no child of the running bundle", "--yes"):
        assert part in refused.output
    assert config.read_text(encoding="utf-8") == GATEWAY
    assert CliRunner().invoke(andon.app, (*arguments, "--yes")).exit_code == 0
    assert 'bundle = "bundles/bare"' in config.read_text(encoding="utf-8")
    assert CliRunner().invoke(andon.app, ("adopt-bundle", str(config), str(out))).exit_code == 1


def test_assets_of_two_rates_share_that_of_the_quicker(tmp_path: Path) -> None:
    """A bundle has one rate: the slow one, which is held, is put on the grid of the other."""
    writer = JournalWriter(tmp_path / "journal", bytes_max=1 << 40, days_max=1000)
    rng = np.random.default_rng(4)
    entries = []
    for i in range(2_000):
        for asset, every in (("quick", 1), ("slow", 4)):
            if i % every == 0:
                t_ns = START + i * S // 2
                body = {"ts": t_ns // 10**6, "a": rng.normal(), "b": rng.normal()}
                payload = msgspec.json.encode(body)
                one = MessageReceived(topic=f"plant/{asset}", payload=payload, received_ns=t_ns)
                entries.append((t_ns, one))
    writer.append(entries)
    writer.close()
    settings = GatewaySettings(
        site="s", asset=(AssetSettings(id="slow", on_change=("a", "b")), AssetSettings(id="quick"))
    )
    found = {
        samples.asset: (samples, alignment)
        for samples, alignment in journal_samples(tmp_path / "journal", settings=settings)
    }
    assert {name: one.period_ns for name, (one, _) in found.items()} == {
        "quick": S // 2,
        "slow": S // 2,
    }
    assert {name: alignment for name, (_, alignment) in found.items()} == {
        "quick": "rows",
        "slow": "grid",
    }
    slow = found["slow"][0].values
    assert len(slow) > 1_900
    assert np.isfinite(slow[8:]).all(), "held between two values"
    fit_bundle([*found.values()])
