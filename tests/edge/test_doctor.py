"""The doctor's page: worst first, nothing ends it, and what a gateway says becomes what to do."""

from __future__ import annotations

import ast
import json
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from typer.testing import CliRunner

import andon
import edge.doctor
from edge.doctor.finding import Finding, Level, page_of
from edge.doctor.health import of_health, of_status
from edge.doctor.look import each, looked
from edge.errors import ConfigError
from edge.wire.linked import LinkPayload
from edge.wire.outgoing import HealthPayload, StatusPayload
from edge.wire.overloading import OverloadPayload
from edge.wire.speaking import SparkplugPayload
from edge.wire.timekeeping import ClockPayload
from tests.test_docs import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.doctor.look import Probe

WELL = HealthPayload(
    ts_ms=1,
    plant_ms=1,
    uptime_s=60.0,
    messages_per_s=12.0,
    queue_depth=0,
    queue_depth_max=1,
    lag_ms=20.0,
    tick_ms_max=2.0,
    rss_mb=200.0,
    journal_mb=1.0,
    outbox_pending=0,
    counts={},
    drops={"duplicate": 4},
    blind=(),
)
LINK = LinkPayload(
    broker="input", to="10.0.0.5:8883", connected=1, received=1, connects=1, disconnects=0,
    refused=0, not_sent=0, misplaced=0, certificate_days=None, cause="",
)  # fmt: skip


def test_a_gateway_that_is_well_needs_nothing() -> None:
    """Whatever is to be done is so because something is not fine."""
    assert [one.level for one in of_health(WELL, waited_s=12.0)] == [Level.FINE]
    assert of_status(StatusPayload(online=True, version="1")).level is Level.FINE


@pytest.mark.parametrize(
    ("change", "what", "level", "said"),
    [
        ({"messages_per_s": 0.0}, "messages", Level.WRONG, "none"),
        ({"lag_ms": 9_000.0}, "lag", Level.WRONG, "9.0 s"),
        ({"overload": OverloadPayload(active=1, shed=7)}, "overload", Level.WRONG, "7 messages"),
        ({"durable": 0, "not_durable": "full"}, "disk", Level.WRONG, "full"),
        ({"outbox_pending": 5_000}, "outbox", Level.SOON, "5000"),
        ({"blind": ("r1/flow",)}, "blind", Level.WRONG, "r1/flow"),
        ({"learning": 2}, "commissioning", Level.NOTE, "2 assets learn"),
        ({"sparkplug": SparkplugPayload(in_doubt=("r9",))}, "Sparkplug", Level.WRONG, "r9"),
        ({"clock": ClockPayload(doubted=1, agree=3, sources=4)}, "clock", Level.WRONG, "3 of 4"),
        ({"drops": {"oversize": 3, "duplicate": 9}}, "not accepted", Level.NOTE, "3 x oversize"),
    ],
)
def test_each_trouble_is_told_with_what_to_do(
    change: dict[str, object], what: str, level: Level, said: str
) -> None:
    """And only that one."""
    found = [one for one in of_health(msgspec.structs.replace(WELL, **change), waited_s=12.0)
             if one.level is not Level.FINE]  # fmt: skip
    assert [(one.what, one.level) for one in found] == [(what, level)]
    assert said in found[0].found
    assert found[0].do


@pytest.mark.parametrize(("days", "level"), [(5.0, Level.SOON), (-1.0, Level.WRONG), (90.0, None)])
def test_a_certificate_is_told_before_it_ends(days: float, level: Level | None) -> None:
    """In time for whoever renews it."""
    links = (msgspec.structs.replace(LINK, certificate_days=days),)
    found = [one for one in of_health(msgspec.structs.replace(WELL, links=links), waited_s=12.0)
             if one.what.startswith("certificate")]  # fmt: skip
    assert [one.level for one in found] == ([] if level is None else [level])


def test_whoever_is_not_there_or_says_nothing_is_told() -> None:
    """Three ways of silence, each with another thing to do."""
    told = [
        of_status(None),
        of_status(StatusPayload(online=False)),
        *of_health(None, waited_s=12.0),
    ]
    assert {one.level for one in told} == {Level.WRONG}
    assert len({one.do for one in told}) == 3


@pytest.mark.parametrize("n", range(3))
@pytest.mark.parametrize("error", [ConfigError("told"), ZeroDivisionError("boom"), OSError("disk")])
def test_a_probe_that_fails_is_a_finding_and_the_rest_is_looked_at(
    n: int, error: Exception
) -> None:
    """The n-th for every n, behind what it found before it failed."""

    def probe(number: int) -> Probe:
        def look() -> Iterator[Finding]:
            yield Finding(level=Level.FINE, what=f"p{number}", found="ok")
            if number == n:
                raise error

        return look

    found = list(each({f"p{i}": probe(i) for i in range(3)}))
    assert [one.what for one in found if one.level is Level.FINE] == ["p0", "p1", "p2"]
    (bad,) = [one for one in found if one.level is Level.WRONG]
    assert bad.what == f"p{n}"
    assert str(error) in bad.found


def test_the_worst_comes_first_and_is_counted() -> None:
    """Within a level as it was found."""
    levels = [Level.FINE, Level.NOTE, Level.WRONG, Level.SOON, Level.WRONG]
    found = [Finding(level=one, what=str(i), found="") for i, one in enumerate(levels)]
    page = page_of(found, file="f", ts_ms=0)
    assert [one.what for one in page.findings] == ["2", "4", "3", "1", "0"]
    assert (page.wrong, page.soon) == (2, 1)


def test_without_a_configuration_it_says_how_to_begin() -> None:
    """No stack trace, and no guess."""
    (found,) = looked(None).findings
    assert "andon discover" in found.do


@pytest.mark.parametrize("text", ["site = 3\n", "site = [", "[mqtt]\nhots = 'x'\n"])
def test_a_broken_configuration_is_the_finding(tmp_path: Path, text: str) -> None:
    """Told with its file, on the page and as JSON; exit code 1."""
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    (found,) = looked(path).findings
    assert (found.level, found.what) == (Level.WRONG, "configuration")
    assert str(path) in found.found + found.do
    done = CliRunner().invoke(andon.app, ["doctor", str(path), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["wrong"] == 1


def test_a_broker_that_is_away_does_not_end_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on port 1 of loopback: told twice at once, and the rest is looked at."""
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 1000.0)  # longer than a test may take
    path = tmp_path / "gateway.toml"
    path.write_text('site = "s"\n[mqtt]\nhost = "127.0.0.1"\nport = 1\n[model]\nbundle = "none"\n')
    page = looked(path, wait_s=0.5)
    wrong = {one.what for one in page.findings if one.level is Level.WRONG}
    assert {"bundle", "gateway"} <= wrong
    assert sum("nothing listens there" in one.found for one in page.findings) == 2
    assert {"dead letters", "audit trail"} <= {one.what for one in page.findings}


@contextmanager
def somebody_else(closed: Path) -> Iterator[None]:
    """As a user to whom a directory is closed."""
    closed.mkdir(mode=0o700, parents=True)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    else:
        closed.chmod(0)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)


@pytest.mark.parametrize("below", ["state", "state/of/one"])
def test_what_is_closed_to_this_user_is_told_once_and_is_no_mistake(
    below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for whoever looks at a service without being root: no all-clear, and nobody to blame."""
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 0.05)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        place = Path(folder)
        place.chmod(0o755)
        path = place / "gateway.toml"
        path.write_text(
            f'site = "s"\n[mqtt]\nport = 1\n[model]\nbundle = "b"\n[journal]\ndir = "{below}"\n'
        )
        path.chmod(0o644)
        looked(path, wait_s=0.5)  # what is imported late is read as who we are
        with somebody_else(place / "state"):
            page = looked(path, wait_s=0.5)
            check = CliRunner().invoke(andon.app, ["check", str(path)])
    told = [one for one in page.findings if "Permission denied" in one.found]
    assert [one.what for one in told] == ["state"]
    assert "as root" in told[0].found
    assert not [one for one in page.findings if "mistake of Andon" in one.do]
    assert not {"dead letters", "audit trail", "box"} & {one.what for one in page.findings}
    assert check.exit_code == 1
    assert "FAULT" in check.output
    assert "as root" in " ".join(check.output.split())


def test_silence_means_something_only_after_it_should_have_been_broken() -> None:
    """A gateway that says how it is once a minute does not hang after twelve seconds."""
    (early,) = of_health(None, waited_s=12.0, every_s=60.0)
    (late,) = of_health(None, waited_s=62.0, every_s=60.0)
    assert (early.level, late.level) == (Level.NOTE, Level.WRONG)
    assert "--seconds 62" in early.do
    assert "62 s" in late.found


def _said() -> Iterator[str]:
    """Every text of the doctor's modules; what is filled in stands as 1."""
    for path in Path(edge.doctor.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (x.value if isinstance(x, ast.Constant) else "1" for x in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


CALLED: Final = re.compile(
    r"\bandon((?: [a-z][a-z-]*)+)((?: (?:--?[a-z-]+|[A-Z:]+(?:\.toml)?|\d+))*)"
)


def _advised() -> set[tuple[str, str]]:
    """Commands that it tells people to type, each with what stands behind it."""
    found = set()
    for text in _said():
        for words, rest in CALLED.findall(text):
            names = words.split()
            name = next(
                (n for k in (2, 1) if (n := " ".join(["andon", *names[:k]])) in COMMANDS), ""
            )
            found.add((name or f"andon{words}", rest if len(names) < len(name.split()) else ""))
    return found


@pytest.mark.parametrize(("command", "rest"), sorted(_advised()))
def test_what_it_tells_to_type_can_be_typed(command: str, rest: str) -> None:
    """The command is there, has the options, and takes a configuration where one is given."""
    params = COMMANDS[command].params
    options = {one for p in params if p.param_type_name == "option" for one in p.opts}
    positional = [p.name for p in params if p.param_type_name == "argument"]
    words = rest.split()
    assert {word for word in words if word.startswith("-")} <= options
    if words and words[0] == "GATEWAY.toml":
        assert positional[:1] == ["config"]
    if "--config" in options and command != "andon discover":
        assert "--config" in words, "else another gateway.toml, or none, is looked at"


def test_the_doctor_advises_commands() -> None:
    """So that the test above has something to look at."""
    assert {"andon discover", "andon run", "andon dead-letters", "andon audit verify"} <= {
        command for command, _ in _advised()
    }
