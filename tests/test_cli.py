"""The command line: what it says next, what it refuses, and how it ends."""

from __future__ import annotations

import inspect
import io
import os
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

import pytest
from rich.console import Console
from typer.testing import CliRunner

import andon
from andon.commands import COMMANDS, Group, Line
from andon.options import ordered_rows
from edge.checks.check import check_file
from edge.configuration.config import load
from kb.snapshots.build import build
from models.bundles.store import save
from simulator.broker import free_port
from simulator.replay import Played
from tests.edge.rig import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typer.testing import Result

SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,press07,x,c1,0.3,10,60,qa,1960-01-01T00:00:00Z
"""


def called(*arguments: str) -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(andon.app, [*arguments])


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call it as a shell does; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["andon", *arguments])
    with pytest.raises(SystemExit) as caught:
        andon.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_version_is_told() -> None:
    """Of what is installed."""
    assert called("--version").output == f"andon {version('andon')}\n"


def places(stated: Mapping[str, Line | Group], path: str = "") -> Iterator[tuple[str, Line]]:
    """Yield (`kb build`, where it is) for every command."""
    for name, one in stated.items():
        if isinstance(one, Group):
            yield from places(one.commands, f"{path}{name} ")
        else:
            yield f"{path}{name}", one


PLACES: Final = dict(places(COMMANDS))


@pytest.mark.parametrize("command", PLACES)
def test_help_says_of_a_command_what_the_command_says_of_itself(command: str) -> None:
    """The lines stand apart from the modules, so that help imports none of them."""
    module, _, function = PLACES[command].place.partition(":")
    found = getattr(import_module(f"andon.{module}"), function)
    assert PLACES[command].says == (inspect.getdoc(found) or "").partition("\n")[0]


def test_every_function_that_takes_options_is_a_command() -> None:
    """One that the table forgets is found by nobody."""
    stated = {one.place for one in PLACES.values()}
    for path in Path(andon.__file__).parent.glob("*.py"):
        module = import_module(f"andon.{path.stem}")
        for name, found in inspect.getmembers(module, inspect.isfunction):
            own = found.__module__ == module.__name__ and not name.startswith("_")
            if own and "typer.Option(" in str(getattr(found, "__annotations__", "")):
                assert f"{path.stem}:{name}" in stated


HELP_IMPORTS: Final = frozenset({"annotated_doc", "click", "shellingham", "typer"})
HELP_MODULES_MAX: Final = 250  # with those that Python itself begins with


@pytest.mark.parametrize("start", [("-c", "import andon; andon.main()"), ("-m", "andon")])
@pytest.mark.parametrize("arguments", ["--help", "", "kb", "kb build --help", "run --help"])
def test_help_imports_next_to_nothing(start: tuple[str, str], arguments: str) -> None:
    """It answers at once: no array, no broker, no validator, no box drawn, nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *start, *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Usage:" in done.stdout + done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in told}
    assert len(loaded) <= HELP_MODULES_MAX
    ours = {"andon", "edge", "edge.caps", "edge.errors", "kb", "kb.errors", "models"}
    ours |= {"models.errors"}
    assert {one for one in loaded if one.startswith(("edge", "kb", "models"))} <= ours
    assert not _installed(loaded) - HELP_IMPORTS


def _installed(loaded: set[str]) -> set[str]:
    """Packages that stand beside Python, and are not ours, of the modules that were loaded."""
    ours = {"andon", "edge", "kb", "models", "simulator"}
    tops = {name.partition(".")[0] for name in loaded}
    installed = (tops - ours) & set(packages_distributions())
    return {top for top in installed if not top.startswith("_")}  # what installs others


def test_no_commands_help_loads_the_validators() -> None:
    """Nor arrays, boxes, or what a command works with: in one process, one after another."""
    asked = [f"{name} --help" for name in PLACES]
    code = f"""
import contextlib, io, sys, andon
for line in {asked!r}:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        andon.app(line.split(), standalone_mode=False)
    assert "Usage: " in said.getvalue(), line
print(*sorted(name for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not _installed(loaded) - HELP_IMPORTS
    assert "andon.knowledge" in loaded


@pytest.mark.parametrize(
    ("arguments", "near"), [("chek", "'check'"), ("kb buil", "'build'"), ("model promot", "'prom")]
)
def test_an_unknown_command_is_told_with_what_it_may_have_meant(arguments: str, near: str) -> None:
    """Among the names of its own group."""
    refused = called(*arguments.split())
    assert refused.exit_code == 2
    assert f"Did you mean {near}" in refused.output


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("andon re", ["replay", "record", "reload", "restore", "retire", "report"]),
        ("andon kb sh", ["show"]),
    ],
)
def test_shells_complete_commands(typed: str, completed: list[str]) -> None:
    """As bash asks for it."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "import andon, sys; sys.argv = ['andon']; andon.main()"],
        env=os.environ | words | {"_ANDON_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == completed


@pytest.mark.parametrize(
    "command", [("replay",), ("fit", "-o", "b"), ("backtest", "--bundle", "b")]
)
@pytest.mark.parametrize(
    ("rows", "words"),
    [("400:100", "the end, 100, is before the start, 400"), ("4:4", "the end, 4, is the start")],
)
def test_rows_that_end_before_they_begin_are_refused(
    command: tuple[str, ...], rows: str, words: str, tmp_path: Path
) -> None:
    """That is a typing error, and not a recording without rows."""
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    result = called(command[0], str(table), *command[1:], "--rows", rows)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("rows", ["0:400", "400:", ":-100", "-100:400"])
def test_other_rows_are_left_as_they_are(rows: str) -> None:
    """What counts from the end cannot be judged without the table."""
    assert ordered_rows(rows) == rows


def test_simulate_tells_what_to_do_next(tmp_path: Path) -> None:
    """With paths that are there, and that its own gateway.toml names; quoted for a shell."""
    cell = tmp_path / "my cell"
    result = called("simulate", "-o", str(cell), "--hours", "0.1", "--robots", "1")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("  andon ")]
    fit, kb, backtest, check = (shlex.split(line) for line in lines)
    config = load(cell / "gateway.toml", environment={})
    made, kept = str(config.path("bundle")), str(config.path(config.kb.snapshot))
    recording, texts = str(cell / "recording"), str(cell / "kb")
    file, truth = str(cell / "gateway.toml"), str(cell / "truth.json")
    assert fit[1:] == ["fit", str(cell / "training"), "-o", made, "--config", file]
    assert kb[1:] == ["kb", "build", texts, "-o", kept]
    rest = ["--bundle", made, "--kb", kept, "--truth", truth]
    assert backtest[1:] == ["backtest", recording, *rest]
    assert check[1:] == ["check", file]
    for path in (cell / "training", recording, texts, file, truth):
        assert (cell / path).exists()


def test_an_interrupt_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A person pressed Ctrl-C and knows it: no traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kb.commands.build_command", interrupted)
    assert ended(monkeypatch, "kb", "build", str(tmp_path), "-o", str(tmp_path / "s")) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    monkeypatch.setattr("andon.front.app", interrupted)
    assert ended(monkeypatch) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


@pytest.mark.parametrize(("options", "code"), [((), 130), (("--loop",), 0)])
def test_a_replay_that_was_cut_short_is_interrupted(
    options: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that goes on for ever ends only so, and well."""
    (tmp_path / "t.csv").write_text("a\n1\n")
    cut = (SimpleNamespace(name="t"), Played(interrupted=True))
    monkeypatch.setattr("simulator.replay.replay", lambda *_, **__: cut)
    assert ended(monkeypatch, "replay", str(tmp_path / "t.csv"), *options) == code


def test_other_ends_keep_their_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option is no interrupt."""
    assert ended(monkeypatch, "--no-such-option") == 2
    assert ended(monkeypatch, "--version") == 0
    assert "interrupted" not in capsys.readouterr().err


def test_a_gateway_without_a_bundle_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before anything is opened or written."""
    file = tmp_path / "gateway.toml"
    file.write_text('site = "s"\n[model]\nbundle = "b"\n')
    assert ended(monkeypatch, "run", str(file)) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'b'} is no bundle; make one with `andon fit" in said
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.toml"]


def test_a_search_for_an_asset_that_nothing_names_says_so(tmp_path: Path) -> None:
    """Site-wide documents are found for any id, so a typing error would not show."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scope.csv").write_text(SCOPE)
    (tmp_path / "docs" / "note.md").write_text("# Oil\n\nCheck the oil level of every press.\n")
    build(tmp_path / "docs", tmp_path / "kb", now_ns=0)
    snapshot = ("--snapshot", str(tmp_path / "kb"))
    result = called("kb", "search", "oil level", *snapshot, "--asset", "pres07")
    assert "names asset pres07; try press07" in result.output
    result = called("kb", "search", "oil level", *snapshot, "--asset", "press07")
    assert result.exit_code == 0
    assert "names asset" not in result.output


def test_a_snapshot_of_nothing_warns(tmp_path: Path) -> None:
    """A wrong path makes an empty snapshot, in which nothing is ever found."""
    (tmp_path / "docs").mkdir()
    result = called("kb", "build", str(tmp_path / "docs"), "-o", str(tmp_path / "kb"))
    assert result.exit_code == 0
    assert "warning: no document was read" in result.output


def checked(folder: Path, more: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that `andon check` prints of an installation without a broker."""
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 0.05)
    file = folder / "gateway.toml"
    file.write_text(f'site = "s"\n[mqtt]\nport = {free_port()}\n[model]\nbundle = "b"\n{more}')
    out = io.StringIO()
    assert check_file(file, console=Console(file=out, width=10_000)) == 1
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("tags", ["", 'tags = { PLC4 = "c2" }\n'])
def test_a_context_tag_that_was_fitted_as_a_signal_is_a_fault(
    tags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ring at every start; the way out is named."""
    save(bundle(), tmp_path / "b")
    tag = "PLC4" if tags else "c2"
    context = f'[[asset]]\nid = "r1"\n{tags}context = [{{ tag = "{tag}", role = "run" }}]\n'
    lines = checked(tmp_path, context, monkeypatch)
    (fault,) = [line for line in lines if line.startswith("FAULT asset r1")]
    assert f"channels of the bundle: {tag}; fit again with --config" in fault
    assert str(tmp_path / "gateway.toml") in fault
    lines = checked(tmp_path, context.replace(f'tag = "{tag}"', 'tag = "run_state"'), monkeypatch)
    assert not [line for line in lines if line.startswith("FAULT asset")]


def test_check_ends_with_the_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lists come first, topics also where the bundle cannot be read."""
    lines = checked(tmp_path, '[[asset]]\nid = "press07"\n', monkeypatch)
    configuration = lines.index("effective configuration:")
    topics = lines.index("publishes:")
    assert "andon/s/alert/press07/process" in lines[topics:]
    fine = [i for i, line in enumerate(lines) if line.startswith("ok ")]
    faults = [i for i, line in enumerate(lines) if line.startswith("FAULT ")]
    assert configuration < topics < min(fine) < max(fine) < min(faults)
    assert faults == [len(lines) - 3, len(lines) - 2]
    assert lines[-1] == "2 faults"
