"""What every test may use, and a last section of the report that names what did not run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import hypothesis
import pytest

from tests.broker.started import unheard

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    class Node(Protocol):
        """What is used of xdist's worker controller, which has no types."""

        config: pytest.Config


ROOT: Final = Path(__file__).resolve().parent.parent
TESTS: Final = ROOT / "tests"
# Files of minutes each, and what waits for brokers: begun last, one of them keeps a process after
# all others ended. Folders in this order, then the rest.
LONGEST: Final = ("sim_gateway", "sim", "broker", "clients", "chaos", "fuzz")
# Whole gateways and whole shifts run what tests of its parts cover, at twice the cost if counted.
NOT_COUNTED: Final = ("sim_gateway", "sim", "fuzz", "chaos")
COLLECTED: Final = pytest.StashKey[tuple[str, ...]]()

# No deadline: a shared machine may stall any example. CI repeats the same examples each time,
# so that a change is judged by what it changed; elsewhere they are drawn anew.
hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The development data: ANDON_DATA, else ../shared/data; without either the test is skipped."""
    named = os.environ.get("ANDON_DATA")
    if named:
        path = Path(named)
        if not path.is_dir():
            pytest.fail(f"ANDON_DATA names {named}, which is not a directory")
        return path
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the development data: set ANDON_DATA to its directory")
    return path


@pytest.fixture(scope="session", autouse=True)
def every_payload_is_as_described() -> Iterator[None]:
    """Whatever a test publishes fits the schemas that are shipped; see `tests.schema_checks`."""
    from tests.schema_checks import every_payload_checked  # noqa: PLC0415 - imports ours; most of it is then needed anyway

    with every_payload_checked():
        yield


@pytest.fixture(scope="session", autouse=True)
def every_gateway_was_overheard() -> Iterator[None]:
    """A gateway on a broker whose ears nobody asked makes their proof empty. The last to end."""
    yield
    left = unheard()
    assert not left, "nobody has checked what was published by\n" + "\n".join(left)


def _folder(item: pytest.Item) -> str:
    """The folder of tests that an item is in; "" for those beside the folders."""
    inside = item.path.relative_to(TESTS).parts
    return inside[0] if len(inside) > 1 else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; the order within a file stays."""
    place = {folder: i for i, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(_folder(item), len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time is waiting for brokers and browsers."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Coverage pauses for what is not counted, its fixtures included."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    counts = getattr(plugin, "cov_controller", None)
    counted = _folder(item) not in NOT_COUNTED and item.get_closest_marker("not_counted") is None
    if counts is None or counted:
        return (yield)
    counts.pause()
    try:
        return (yield)
    finally:
        counts.resume()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember what was to run, so that a run cut short can name the rest."""
    session.config.stash[COLLECTED] = tuple(item.nodeid for item in session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Node, ids: Sequence[str]) -> None:
    """Likewise where several processes run the tests: each of them collects, this one reports."""
    node.config.stash[COLLECTED] = tuple(ids)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name every test that did not run, and why; pytest's own last line follows."""
    collected: tuple[str, ...] = config.stash.get(COLLECTED, ())
    rows = sorted(_not_run(terminalreporter, collected))
    terminalreporter.section("NOT RUN")
    for nodeid, reason in rows:
        terminalreporter.line(f"{nodeid}: {reason}")
    if not rows:
        terminalreporter.line("nothing: every test ran")


def _not_run(
    reporter: pytest.TerminalReporter, collected: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Pairs of what did not run and why; tests that a stopped run never reached, by file."""
    for report in reporter.stats.get("skipped", []):
        place = report.longrepr
        reason = place[2] if isinstance(place, tuple) else str(place)
        yield report.nodeid, reason.removeprefix("Skipped: ")
    for report in reporter.stats.get("xfailed", []):
        if report.when != "call":
            yield report.nodeid, f"expected to fail: {report.wasxfail}"
    for item in reporter.stats.get("deselected", []):
        yield item.nodeid, "deselected on the command line"
    reached = {
        report.nodeid
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    }
    missed = Counter(nodeid.partition("::")[0] for nodeid in collected if nodeid not in reached)
    for file, count in missed.items():
        yield file, f"{count} not reached: the run stopped before"
