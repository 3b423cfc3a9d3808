"""The last line of a campaign, however it ends: what was not judged is lost, and never a zero."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from edge.recordings.recording import TimedMessage
from tests.chaos import __main__ as chaos
from tests.chaos import campaign, truth
from tests.chaos.campaign import CampaignError, Tally
from tests.chaos.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.broker.gateways import Keyed
    from tests.chaos.truth import Verdict

KEYS = (
    "kills", "samples_sent", "samples_scored", "alerts_expected", "alerts_lost", "ids_doubled",
)  # fmt: skip
ALERT = "andon/s/alert/r1/process"
SENT, ROWS = 3, 4  # messages that got out before it ended, of ten; samples in each


@dataclass
class Ended:
    """A rig with what is left of a campaign in it; it answers for its own parts."""

    plant: Plant
    folder: Path
    confirmed: int = SENT
    confirmed_most: int = 0
    broker_losses: int = 2
    sent_again: int = 7
    lost_by_broker: set[Any] = field(default_factory=set)
    closed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def begin(self, _point: str = "") -> int:
        """Nothing starts."""
        return 0

    def kill(self) -> None:
        """Nothing ends."""

    def release(self, until: int, *, over_s: float) -> None:
        """Nothing is sent."""

    def outbox(self) -> list[Keyed]:
        """One key with two contents."""
        return [(ALERT, "a", 1, b"one"), (ALERT, "a", 1, b"other"), (ALERT, "a", 2, b"one")]

    def all(self) -> list[Any]:
        """Nothing was heard."""
        return []

    @property
    def gateway(self) -> Self:
        """And its other parts."""
        return self

    sender = witness = gateway


def plant(folder: Path, **_: object) -> Plant:
    """Ten messages of an asset, with one of a clock before each."""
    body = msgspec.json.encode({"ts": list(range(ROWS)), "v": [[1.0]] * ROWS})
    messages = [
        TimedMessage(t_ns=i, topic=topic, payload=content)
        for i in range(10)
        for topic, content in (("plant/_clock", b"1"), ("plant/r1", body))
    ]
    return Plant(
        folder=folder,
        config=folder / "gateway.toml",
        assets=("r1",),
        rows=10 * ROWS,
        end_ns=0,
        messages=messages,
    )


@pytest.fixture
def ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any], dict[str, Any], str]]:
    """Run a campaign whose functions are replaced by those given, `module.function`: by what.

    Returns its exit code, the last line, the line before it, and standard error.
    """
    three: dict[Any, dict[str, Any]] = defaultdict(dict, {(ALERT, one, 1): {} for one in "abc"})
    always: dict[Any, Any] = {
        (chaos, "missing_programs"): list,
        (chaos, "make_plant"): plant,
        (campaign, "Rig"): Ended,
        (campaign, "online"): lambda *_: None,
        (truth, "uninterrupted"): lambda _: three,
    }

    def ended(
        replaced: dict[Any, Any],
    ) -> tuple[int, dict[str, Any], dict[str, Any], str]:
        for (module, name), by in (always | replaced).items():
            monkeypatch.setattr(module, name, by)
        code = chaos.main(["--kills", "5", "--seed", "1", "--directory", str(tmp_path)])
        said = capsys.readouterr()
        more, last = (msgspec.json.decode(line) for line in said.out.splitlines())
        return code, last, more, said.err

    return ended


def raising(error: BaseException) -> Callable[..., None]:
    """A function that fails."""

    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


ENDS: list[BaseException] = [
    CampaignError("the gateway ended by itself with code 77"),
    RuntimeError("the rig itself failed"),
    KeyboardInterrupt("Ctrl-C"),
]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["_live", "_drain", "judge"])
def test_an_aborted_campaign_counts_what_it_has_and_the_rest_as_lost(
    ends: Callable[..., Any], tmp_path: Path, error: BaseException, place: str
) -> None:
    """Whatever ends it, and wherever: zeros would read as a run in which nothing was lost."""

    def lives(rig: Any, cycle: Any, tally: Tally) -> None:  # noqa: ANN401 - what was put there
        del rig, cycle
        tally.kills += 1

    code, last, more, said = ends(
        {(campaign, "_live"): lives, (campaign, "_drain"): lambda *_: None}
        | {(campaign, place): raising(error)}
    )
    assert code == 1
    assert tuple(last) == KEYS
    assert last["kills"] == (1 if place == "_live" else 5)
    assert last["samples_sent"] == SENT // 2 * ROWS, "of the messages that were confirmed"
    assert last["samples_scored"] == 0
    assert (last["alerts_expected"], last["alerts_lost"]) == (3, 3)
    assert last["ids_doubled"] == 1
    assert (more["wrong"], more["broker_losses"], more["messages_sent_again"]) == (1, 2, 7)
    assert "not judged to the end: " in said
    assert str(error) in said
    assert ("Traceback" in said) == (not isinstance(error, CampaignError))
    assert list(tmp_path.iterdir()), "what went wrong is kept"


def test_a_plant_that_cannot_be_made_ends_with_the_line_too(ends: Callable[..., Any]) -> None:
    """Nothing was counted then; the exit code says that it is no result."""
    code, last, _, said = ends({(chaos, "make_plant"): raising(OSError("no space left"))})
    assert (code, set(last.values())) == (1, {0})
    assert "no space left" in said


@pytest.mark.parametrize(
    ("changed", "stop_s", "code"),
    [
        ({}, 4.9, 0),
        ({}, 5.1, 1),
        ({"samples_scored": 39}, 1.0, 1),
        ({"wrong": ["an alert was never decided"]}, 1.0, 1),
    ],
)
def test_the_exit_code_is_that_of_the_counts(
    ends: Callable[..., Any], changed: dict[str, Any], stop_s: float, code: int
) -> None:
    """A stop that took more than five seconds fails a campaign in which nothing was lost."""
    good = {"samples_sent": 40, "samples_scored": 40, "alerts_expected": 3}

    def run(*_: object, verdict: Verdict, tally: Tally, **__: object) -> None:
        tally.kills, tally.stops, tally.stop_s_max = 5, 2, stop_s
        for name, value in (good | changed).items():
            setattr(verdict, name, value)

    ended, last, more, said = ends({(chaos, "run"): run})
    assert ended == code
    assert tuple(last) == KEYS
    assert last["samples_sent"] == 40
    assert more["stop_s_max"] == stop_s
    assert ("the longest stop took 5.1 s, and may take 5" in said) == (stop_s > 5)
