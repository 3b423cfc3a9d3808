"""`andon check`: every fault in one go, each with what to do, and nothing touched."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

import andon
from edge.audit.signatures import new_key, read_key, sign_path
from edge.boxes.identity import Rank, new_box, write_box
from edge.bundles.store import store_of
from edge.checks.check import check_file
from edge.configuration.config import load
from kb.snapshots.build import build
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from models.fitting.fit import FitOptions, fit_asset
from simulator.broker import embedded_broker, free_port
from tests.edge.rig import ASSETS, START, bundle, var
from tests.models.plants import samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET: Final = "not for the eyes of a log"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The best broker that is here."""
    with embedded_broker() as broker:
        yield broker.port


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port that nobody listens on, and little patience with it."""
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 0.05)
    return free_port()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle of r1 and r11."""
    folder = tmp_path_factory.mktemp("fitted")
    save(bundle(), folder / "bundle")
    return folder


class Site:
    """An installation in a directory of its own."""

    def __init__(self, folder: Path, port: int, fitted: Path) -> None:
        shutil.copytree(fitted / "bundle", folder / "bundle")
        self.folder = folder
        self.mqtt: dict[str, str] = {"port": str(port)}
        self.model = '"bundle"'
        self.more = ""

    @property
    def file(self) -> Path:
        """Its configuration, written anew."""
        mqtt = "\n".join(f"{key} = {value}" for key, value in self.mqtt.items())
        text = f'site = "s"\n[mqtt]\n{mqtt}\n[model]\nbundle = {self.model}\n{self.more}'
        path = self.folder / "gateway.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def check(self) -> tuple[int, str]:
        """The exit code, and what was printed, without the blanks that fill a table."""
        out = io.StringIO()
        code = check_file(self.file, console=Console(file=out, width=10_000))
        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        return code, "\n".join(lines)

    def faults(self) -> dict[str, str]:
        """What is wrong, by what it was looked for in; the exit code must say the same."""
        code, text = self.check()
        lines = [" ".join(line.split()) for line in text.splitlines()]
        found = [line.split(" ", 2) for line in lines if line.startswith("FAULT ")]
        assert code == bool(found)
        said = "1 fault" if len(found) == 1 else f"{len(found) or 'no'} faults"
        assert said == text.splitlines()[-1]
        return {what: detail for _, what, detail in found}

    def everything(self) -> dict[str, bytes | None]:
        """What stands in its directory."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes() if path.is_file() else None
            for path in sorted(self.folder.rglob("*"))
        }


@pytest.fixture
def site(tmp_path: Path, port: int, fitted: Path) -> Site:
    """A sound installation beside a broker."""
    return Site(tmp_path, port, fitted)


@pytest.fixture
def alone(tmp_path: Path, nobody: int, fitted: Path) -> Site:
    """A sound installation without a broker."""
    return Site(tmp_path, nobody, fitted)


def test_a_sound_installation_has_no_faults_and_tells_what_will_be_published(site: Site) -> None:
    """Exit code 0; each look has a line, each asset its topics; the broker grants the filters."""
    assert site.faults() == {}
    _, text = site.check()
    looked = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["ok"]]
    assert looked == [
        *("configuration", "bundle", "operators", "knowledge", "broker", "clock", "state"),
        *("box", "scope", "rationalisation", "disk"),
    ]
    for asset in ASSETS:
        for topic in ("alert/{}/process", "alert/{}/sensor", "event/{}", "suppressed/{}", "job/{}"):
            assert f"  andon/s/{topic.format(asset)}\n" in text
    assert "grants plant/+, andon/s/cmd/+/+, andon/s/fence, andon/s/alert/#" in text
    assert "nothing is suppressed" in text


def test_the_effective_configuration_is_printed_without_the_secret(site: Site) -> None:
    """As JSON that reads back, defaults included; of a password only the name of its file."""
    (site.folder / "password").write_text(f"{SECRET}\n", encoding="utf-8")
    site.mqtt |= {"username": '"ann"', "password_file": '"password"'}
    _, text = site.check()
    assert SECRET not in text
    begin = text.index("{", text.index("effective configuration:"))
    printed: dict[str, Any] = msgspec.json.decode(text[begin : text.index("\n}\n", begin) + 2])
    assert printed == msgspec.json.decode(msgspec.json.encode(load(site.file, environment={})))
    assert printed["mqtt"]["password_file"] == "password"


def test_all_faults_are_told_at_once(alone: Site) -> None:
    """Bundle, knowledge, broker and state are wrong: none hides another."""
    alone.model = '"none"'
    alone.more = '[kb]\nsnapshot = "nowhere"\n[journal]\ndir = "gateway.toml"'
    found = alone.faults()
    assert set(found) == {"bundle", "knowledge", "broker", "state"}
    assert "andon fit RECORDING -o" in found["bundle"]
    assert str(alone.folder / "none") in found["bundle"]
    assert "andon kb build DIR -o" in found["knowledge"]
    assert str(alone.folder / "nowhere") in found["knowledge"]
    assert f"127.0.0.1:{alone.mqtt['port']}" in found["broker"]
    assert found["broker"].startswith("[mqtt]: "), "brackets are text, not markup"
    assert "start the broker, or mend host and port" in found["broker"]
    assert str(alone.folder / "gateway.toml") in found["state"]
    assert "see [journal] dir" in found["state"]


def test_a_secret_that_is_not_there_is_nothing_about_the_broker(alone: Site) -> None:
    """What is told is what is to be mended, and no more."""
    alone.mqtt |= {"username": '"ann"', "password_file": '"absent"'}
    found = alone.faults()
    assert found["broker"].endswith("it should hold the password")


def test_a_box_that_may_not_run_is_a_fault(alone: Site) -> None:
    """`andon run` would end with 77, or with 2."""
    state = alone.folder / "state"
    alone.more = '[journal]\ndir = "state"'
    assert "box" not in alone.faults()
    other = Rank(generation=2, since_ms=1, box="other")
    write_box(state, msgspec.structs.replace(new_box(), fenced_by=other))
    assert f"andon fence {alone.folder / 'gateway.toml'} --take-over" in alone.faults()["box"]
    said = CliRunner().invoke(andon.app, ["fence", str(alone.file)])
    assert said.exit_code == 1, "a script can tell"
    (state / "box.json").write_bytes(bytes(155))
    assert "Restore it from a backup" in alone.faults()["box"]
    write_box(state, new_box())
    assert "box" not in alone.faults()
    (state / "fence.key").write_bytes(bytes(155))
    assert "fence.key is no key" in alone.faults()["box"]


def test_a_damaged_book_of_scope_tables_is_a_fault(alone: Site) -> None:
    """As it is to a start, which ends with the same words."""
    alone.more = '[journal]\ndir = "state"\n'
    state = alone.folder / "state"
    state.mkdir()
    assert "scope" not in alone.faults()
    (state / "scope_tables.json").write_bytes(bytes(10))
    assert "restore it from a backup" in alone.faults()["scope"]


def test_what_lacks_a_required_signature_is_a_fault_with_the_command(site: Site) -> None:
    """Whoever demands signatures and forgets one would wonder why nothing is suppressed."""
    texts = site.folder / "texts"
    texts.mkdir()
    (texts / "pump.md").write_text("# Pump\n\nLook at the seal.\n", encoding="utf-8")
    build(texts, site.folder / "kb", now_ns=START)
    private, public = new_key(site.folder, "engineer")
    site.more = f'[kb]\nsnapshot = "kb"\n[trust]\npublic_keys = ["{public}"]\n'
    assert site.faults() == {}
    site.more += "require_signed = true\n"
    _, text = site.check()
    for name in ("bundle", "kb"):
        path = site.folder / name
        (line,) = [line for line in text.splitlines() if f"andon sign {path} --key" in line]
        assert line.split()[:2] == ["FAULT", "signature"]
        assert "nothing will be suppressed" in line
        sign_path(path, read_key(private))
        _, text = site.check()
    assert site.faults() == {}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "everybody whom the broker lets in may ack, feedback, "),
        ('[trust]\nunknown_may = ["ack"]\n', "everybody whom the broker lets in may ack; say who"),
        ("[trust]\nunknown_may = []\n", ""),
        ('[[operator]]\nname = "ann"\nmay = ["ack"]\n', ""),
    ],
)
def test_what_everybody_may_is_told_where_no_operator_is_listed(
    site: Site, more: str, told: str
) -> None:
    """An open door is no fault, but somebody should know of it."""
    site.more = more
    code, printed = site.check()
    assert code == 0
    assert told in printed
    assert ("none listed" in printed) == bool(told)


def test_keys_that_everybody_may_change_are_a_fault(site: Site) -> None:
    """Whoever may write there would be believed."""
    trust = site.folder / "trust.toml"
    trust.write_text("public_keys = []\n", encoding="utf-8")
    trust.chmod(0o644)
    site.more = '[trust]\nfile = "trust.toml"\n'
    assert site.faults() == {}
    trust.chmod(0o666)
    assert f"chmod o-w {trust}" in site.faults()["trust"]


def test_what_the_snapshot_could_not_read_is_named(site: Site) -> None:
    """A limit with a letter in it does not count, and nothing else would say so."""
    documents = site.folder / "documents"
    documents.mkdir()
    head = "asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at"
    row = "r1,c3,bar,,,1O,,qa,2026-01-01T00:00:00Z"
    (documents / "limits.csv").write_text(f"{head}\n{row}\n")
    build(documents, site.folder / "kb", now_ns=START)
    site.more = '[kb]\nsnapshot = "kb"'
    code, text = site.check()
    (line,) = (line for line in text.splitlines() if " not read " in line)
    assert "limits.csv, line 2: " in line
    assert "1O" in line
    assert code == 0


def test_checking_changes_nothing(site: Site) -> None:
    """Not even a directory is made: whoever runs it may be somebody else than the gateway."""
    site.more = '[journal]\ndir = "deep/down/state"'
    _ = site.file
    before = site.everything()
    assert site.faults() == {}
    assert site.everything() == before


def test_a_configuration_that_cannot_be_read_is_the_only_finding(tmp_path: Path) -> None:
    """There is nothing else to look at; the mistake is named with its file."""
    path = tmp_path / "gateway.toml"
    path.write_text('site = "s"\n[mqtt]\nport = 70000\n[model]\nbundle = "b"', encoding="utf-8")
    out = io.StringIO()
    assert check_file(path, console=Console(file=out, width=10_000)) == 1
    assert str(path) in out.getvalue()
    assert "[mqtt] port is 70000" in out.getvalue(), "brackets are text, not markup"
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("asset", "what"),
    [
        ('tags = {PT1 = "c9"}', "c9"),
        ('safety = ["c0", "c8"]', "c8"),
        ('on_change = ["c7"]', "c7"),
        ('tags = {PT1 = "c9"}\nsafety = ["c8"]\non_change = ["c7"]', "c7, c8, c9"),
    ],
)
def test_a_channel_that_the_bundle_does_not_have_is_named(
    asset: str, what: str, site: Site
) -> None:
    """A safety channel with a typing error would protect nothing."""
    site.more = f'[[asset]]\nid = "r1"\n{asset}'
    detail = site.faults()["asset"]
    assert detail.startswith(f"r1 {what} not in the bundle")
    assert "c0, c1, c2, c3" in detail


def test_channels_that_the_bundle_has_are_no_fault(site: Site) -> None:
    """Also under another tag; an asset that is not listed is told, and no fault."""
    site.more = (
        '[[asset]]\nid = "r1"\ntags = {PT1 = "c0"}\nsafety = ["c0", "c1"]\non_change = ["c3"]'
    )
    code, text = site.check()
    assert code == 0
    (line,) = [line for line in text.splitlines() if line.split()[:2] == ["ok", "assets"]]
    assert line.endswith("default settings count: r11")


def test_an_asset_that_was_never_fitted_is_named(site: Site) -> None:
    """Otherwise nobody would miss its alerts."""
    site.more = '[[asset]]\nid = "r7"'
    detail = site.faults()["bundle"]
    assert "'r7'" in detail
    assert "r1, r11" in detail


@pytest.mark.parametrize("file", ["bundle.json", "model.onnx", "parameters.npz"])
def test_a_damaged_bundle_is_a_fault(file: str, site: Site) -> None:
    """One flipped bit, in any of its parts."""
    path = site.folder / "bundle" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert file in site.faults()["bundle"]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_promoted_counts_and_the_configured_one_is_looked_at_too(
    site: Site,
    damaged: bool,  # noqa: FBT001
) -> None:
    """Also where `[model] bundle` names a copy of what it named before; its damage is a fault."""
    fits = [
        fit_asset(samples(var(4000, seed=i), asset=asset), FitOptions(alignment="rows"))
        for i, asset in enumerate(ASSETS, start=5)
    ]
    child = make_bundle(fits, parent=bundle())
    store = store_of(load(site.file))
    store.keep(save(child, site.folder / "child"))
    store.point(child.sha256, by="ann", because="")
    shutil.copytree(site.folder / "bundle", site.folder / "copy")
    site.model = '"copy"'
    if damaged:
        with (site.folder / "copy" / "model.onnx").open("r+b") as file:
            file.write(b"x")
    faults = site.faults()
    assert set(faults) == ({"configured"} if damaged else set())
    _, text = site.check()
    (line,) = [line for line in text.splitlines() if "configured bundle" in line]
    assert f"[model] bundle names {bundle().sha256[:12]}" in line
    assert f"{child.sha256[:12]} was promoted or learned since, and counts" in line
    assert ("model.onnx" in line) == damaged


def test_a_missing_password_is_a_fault_of_the_broker_line(site: Site) -> None:
    """The file is named; without it nobody would get in."""
    site.mqtt |= {"username": '"ann"', "password_file": '"lost"'}
    assert str(site.folder / "lost") in site.faults()["broker"]


def test_a_disk_too_small_for_what_is_kept_is_a_fault(site: Site) -> None:
    """What a century of ticks takes is on no disk; the key to lower is named."""
    site.more = f"[journal]\ndays_max = 36500\nbytes_max = {1 << 50}\n[engine]\ntick_ms = 1"
    detail = site.faults()["free"]
    assert str(site.folder) in detail
    assert "lower [journal] bytes_max" in detail
    site.more = f"[journal]\ndays_max = 36500\nbytes_max = {100 << 20}\n[engine]\ntick_ms = 1"
    assert site.faults() == {}, "the cap in bytes is what is kept"


def test_what_a_power_cut_takes_is_told_with_what_else_could_be_set(site: Site) -> None:
    """The present settings first, then what each other one would come to."""
    site.more = "[journal]\nsync_s = 3.0\n"
    _, text = site.check()
    assert "a power cut may take 3 s" in text
    assert "3 (now)" in text
    assert "strict" in text
    out = io.StringIO()
    check_file(site.file, console=Console(file=out, width=80))
    table = out.getvalue().partition("bytes against what")[2]
    (head,) = [line for line in table.splitlines() if "sync_s" in line]
    assert {"checkpoint_s", "replay_s", "compress"} <= set(head.split()), "no key is cut"


def test_budgets_of_positions_are_told_and_what_they_lack(site: Site) -> None:
    """A name with a mistake is a fault; a bundle that is divided otherwise is not, but is told."""
    site.more = '[[position]]\nname = "east"\nalerts_per_day = 2.0\nassets = ["r1", "q*"]\n'
    _, text = site.check()
    assert "false alerts a day: east 2, others 6; no asset matches q* so far" in text
    assert "the bundle is divided otherwise (6): to divide it anew, andon fit --into" in text
    site.more = site.more.replace('"r1"', '"r7"')
    assert "names the asset 'r7', which neither [[asset]] nor the" in site.faults()["positions"]
