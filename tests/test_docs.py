"""What a reader is told exists, and what exists is told: commands, settings, targets, links."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import andon
from edge.configuration.config import GatewayConfig
from supply.site import COMMANDS_PAGE
from tests.blocks import blocks_of, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE: Final = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MAPPED: Final = (
    "alerts",
    "audit",
    "boxes",
    "gateway",
    "outputs",
    "samples",
    "storage",
    "verdicts",
    "wire",
    "work",
)
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OURS: Final = ("andon", "benchmarks", "edge", "kb", "models", "simulator")


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer hides click's type
    """Yield (`andon kb build`, command) for every leaf of the command tree."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _commands(child, f"{path} {name}")


COMMANDS: Final = dict(_commands(typer.main.get_command(andon.app), "andon"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_readme(command: str) -> None:
    """A command that the README does not name is not found by anybody."""
    assert re.search(rf"\b{re.escape(command)}\b", README)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_explains_itself(command: str) -> None:
    """`--help` says what the command does and what each of its options and arguments means."""
    found = COMMANDS[command]
    assert found.help
    assert not [p.name for p in found.params if p.name != "help" and not getattr(p, "help", None)]


def test_readme_names_only_commands_that_exist() -> None:
    """Each `andon ...` line in a shell block of a page starts with a command of the front door."""
    groups = {" ".join(name.split()[:n]) for name in COMMANDS for n in (1, 2, 3)}
    named = {
        (page.name, line)
        for page in PAGES
        for block in re.findall(
            r"```(?:sh|bash|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL
        )
        for line in re.findall(r"^\s*(?:\$ )?(andon(?: [a-z-]+)?)\b", block, re.MULTILINE)
        if not line.startswith("andon -")
    }
    assert not {(page, line) for page, line in named if line not in groups}


def _typed() -> Iterator[tuple[str, str]]:
    """Page and arguments of each call of `andon` in a shell block, up to a pipe or the like."""
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            if block.language not in ("sh", "bash", "console"):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.shlex(line.partition("  #")[0], posix=True, punctuation_chars=True)
                words.whitespace_split, words.commenters = True, ""
                told = list(itertools.takewhile(lambda one: not set(one) <= set("|&;<>"), words))
                if told and Path(told[0]).name == "andon":
                    yield page.name, shlex.join(told[1:])


def test_calls_on_the_pages_are_taken_by_their_commands() -> None:
    """Options and arguments, not the first word alone; a reader's files are not here."""
    calls = sorted(set(_typed()))
    assert len(calls) > 100
    refused = [(page, call, why) for page, call in calls if (why := refusal(call))]
    assert not [one for one in refused if not one[2].endswith("does not exist.")]
    assert "No such option" in refusal("dead-letters --config x --tpoic a")


def test_modules_that_a_text_runs_are_there() -> None:
    """`python -m` in a page, in what comes with a model, in the Makefile and in the code itself."""
    code = (p for top in OURS for p in (ROOT / top).rglob("*.py"))
    provenance = (ROOT / "models" / "artifacts").glob("*/PROVENANCE.md")
    texts = [*PAGES, *provenance, ROOT / "Makefile", *code]
    called = {
        (text.relative_to(ROOT).as_posix(), module)
        for text in texts
        for module in re.findall(r"-m ([a-z_]+(?:\.[a-z_]+)*)", text.read_text("utf-8"))
        if module.split(".")[0] in OURS
    }
    assert any(text.endswith("PROVENANCE.md") for text, _ in called)
    assert not {(text, module) for text, module in called if not _runs(module)}


def _runs(module: str) -> bool:
    """Whether a module, or a package that can be called, is there."""
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


def _shell_lines(heading: str) -> list[str]:
    """The commands of the README's section, in order."""
    texts = [b.text for b in blocks_of(README) if (b.section, b.language) == (heading, "sh")]
    return [line.split("  #")[0].strip() for text in texts for line in text.splitlines()]


def test_the_readme_writes_the_configuration_before_it_fits() -> None:
    """Otherwise the tags of state are fitted as signals."""
    section = README.split("## Run it on your plant\n")[1].split("\n## ")[0]
    assert section.index("```toml") < section.index("```sh")
    called = [shlex.split(line) for line in _shell_lines("Run it on your plant")]
    names = [" ".join(words[1:3] if words[1] == "kb" else words[1:2]) for words in called]
    assert names == ["record", "fit", "kb build", "check", "run"]
    assert called[1][-2:] == ["--config", "gateway.toml"]


def _structs() -> dict[str, type[msgspec.Struct]]:
    """Every struct that a settings file fills, by name: whatever the outermost one reaches."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[Any] = [GatewayConfig]
    while waiting:
        one = waiting.pop()
        waiting += get_args(one)
        if isinstance(one, type) and issubclass(one, msgspec.Struct) and one.__name__ not in found:
            found[one.__name__] = one
            waiting += [field.type for field in msgspec.structs.fields(one)]
    return found


def _settings_text() -> str:
    page = ROOT / "docs" / "configuration.md"
    return README + (page.read_text(encoding="utf-8") if page.is_file() else "")


@pytest.mark.parametrize("struct", _structs())
def test_every_settings_key_is_documented(struct: str) -> None:
    """Each key stands, in backquotes or as `key =`, on the page of the configuration."""
    keys = {field.encode_name for field in msgspec.structs.fields(_structs()[struct])}
    text = _settings_text()
    assert not [
        k
        for k in sorted(keys)
        if not re.search(rf"`{k}`|^\s*#?\s*{k}\s*=|\[{k}[\].]", text, re.MULTILINE)
    ]


def _topics_told() -> Iterator[str]:
    """Topics in the tables of topics.md, each alternative of `{a,b}` by itself."""
    page = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (`.*)$", page.partition("\n\n## ")[0], re.MULTILINE):
        for told in re.findall(r"`([a-z_A-Z]+[^` ]*|cmd_result/[^`]+)`", row):
            parts = [one.strip("{}").split(",") if "," in one else [one] for one in told.split("/")]
            yield from ("/".join(way) for way in itertools.product(*parts))


def test_every_topic_is_documented() -> None:
    """Each channel of the description for machines stands in the table for people."""
    channels = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text("utf-8"))["channels"]
    ours = {one["address"].removeprefix("{prefix}/{site}/") for one in channels.values()}
    ours -= {"plant/{asset}"}  # the plant's: a section of its own
    tracks = {f"alert/{{asset}}/{track}" for track in ("process", "sensor", "comms")}
    wanted = ours - {"alert/{asset}/{track}"} | tracks
    assert len(wanted) > 20
    assert not sorted(wanted - set(_topics_told()))


def test_settings_examples_on_the_pages_are_valid_toml() -> None:
    """A reader pastes them."""
    for page in PAGES:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            assert tomllib.loads(block), page.name


def test_links_between_pages_resolve() -> None:
    """A relative link names a file of this tree."""
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
        if not target.endswith(COMMANDS_PAGE)  # made with the site
    ]
    assert not broken


def test_every_make_target_is_listed_by_help() -> None:
    """`make` alone tells what there is; pages name only targets that exist."""
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE)) == targets
    for page in PAGES:
        assert (
            set(re.findall(r"(?:`|^\s*)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
            <= targets
        )


def test_the_description_for_machines_is_what_the_types_say() -> None:
    """AsyncAPI in the tree is what `andon schemas -o docs/asyncapi.yaml` writes now."""
    shown = CliRunner().invoke(andon.app, ["schemas"]).output
    written = (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
    assert written == shown, "a payload changed: andon schemas -o docs/asyncapi.yaml"


def test_changelog_tells_of_this_version() -> None:
    """The newest heading is Unreleased or the version of the package, and says something."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    sections = re.split(
        r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert re.match(rf"\[(?:Unreleased|{re.escape(version)})\]", sections[1])
    assert any(f"[{version}]" in section.splitlines()[0] for section in sections[1:])
    assert re.search(r"^- ", sections[-1], re.MULTILINE)


def test_the_map_of_the_tree_is_true() -> None:
    """Every folder of modules is on it, and what it names by its path is there."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("## Code map")[2].partition("## Invariants")[0]
    named = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", table))
    folders = {
        f"{file.parent.relative_to(ROOT).as_posix()}/"
        for top in (*OURS, "supply")
        for file in (ROOT / top).rglob("*.py")
    }
    tops = {"edge/", "kb/", "models/"}  # their modules stand under their names, their parts below
    assert not folders - named - tops
    assert not {path for path in named if not (ROOT / path).exists()}


def _constant(node: ast.expr, module: object) -> str:
    """A name of a fault as somebody writes it: itself, a constant, or the end of a composed one."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return str(getattr(module, node.id, ""))
    return _constant(node.values[-1], module) if isinstance(node, ast.JoinedStr) else ""


def _alert_names() -> Iterator[str]:
    """Whatever `alert/_gateway/system` may name: what is judged, and what is told at once."""
    for path in sorted((ROOT / "edge").rglob("*.py")):
        if not {"judge(", "ShellFault("} & set(
            re.findall(r"\w+\(", text := path.read_text("utf-8"))
        ):
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for node in ast.walk(ast.parse(text)):
            if path.stem == "faults" and isinstance(node, ast.Dict):
                yield from (_constant(key, module) for key in node.keys if key is not None)
            elif isinstance(node, ast.Call) and node.args:
                said = ast.unparse(node.func)
                if said.endswith("faults.judge") and not isinstance(node.args[0], ast.Starred):
                    yield _constant(node.args[0], module)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "ShellFault":
                yield from (_constant(k.value, module) for k in node.keywords if k.arg == "name")


def test_every_system_alert_is_told() -> None:
    """Who finds a name on `alert/_gateway/system` finds it in topics.md."""
    names = {name for name in _alert_names() if name}
    assert {"not_durable", "clock_wrong", "chain_broken", "broker_refuses", "overloaded"} <= names
    told = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
    assert not sorted(name for name in names if f"`{name}`" not in told)


def test_every_module_of_a_gateway_stands_in_the_architecture() -> None:
    """A module that the map does not name is found by chance."""
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", ARCHITECTURE))))
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in MAPPED
        for path in (ROOT / "edge" / package).glob("*.py")
        if path.stem not in ("__init__", *told)
    }
    assert not sorted(modules)
