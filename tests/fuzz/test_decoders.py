"""`make fuzz-decoders`: every format has its target, and the oracles see what is planted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import WireError
from edge.samples.sparkplug import Sparkplug
from edge.samples.sparkplug_routes import Speaker
from edge.wire import formats, quick
from edge.wire.formats import FORMATS, READERS
from tests.fuzz.decoder_targets import REASONS, TARGETS
from tests.fuzz.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.wire.told import Told

SEED = 5
BY_NAME = {target.name: target for target in TARGETS}
FEW_REASONS = ("decoder-sparkplug",)  # not one, a time beyond all, too much
ENOUGH = 1_500  # inputs within which each planted fault is found


def first_failure(name: str, scratch: Path) -> str:
    """What the first failure of a target says; "": nothing failed."""
    trial = Trial(BY_NAME[name], scratch)
    for index in range(ENOUGH):
        failure = trial.run(BY_NAME[name].input_of(SEED, index))
        if failure is not None:
            return f"{failure.kind} {failure.detail}"
    return ""


def test_every_format_is_tried() -> None:
    """A new format without a target would be held to nothing."""
    assert set(BY_NAME) == {f"decoder-{name}" for name in FORMATS}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_inputs_are_taken_and_refused_for_several_reasons(name: str, tmp_path: Path) -> None:
    """Else only the first check of a decoder would be tried."""
    trial, found = Trial(BY_NAME[name], tmp_path), Counter[str]()
    for index in range(ENOUGH):
        assert trial.run(BY_NAME[name].input_of(SEED, index)) is None, index
        found[trial.reason if not trial.accepted else "taken"] += 1
    assert found["taken"] > ENOUGH // 5, found
    assert found.keys() <= {*REASONS, "taken"}
    assert len(found) > (2 if name in FEW_REASONS else 4), found


def _nothing_ends(self: Sparkplug, key: str, *, exactly: bool = False) -> None:
    """Devices outlive their node."""


def _aliases_of_yesterday(keep: Callable[..., Any]) -> Callable[..., Any]:
    """The first birth counts for ever."""
    known: dict[str, Any] = {}

    def meanings(self: Sparkplug, key: str) -> Any:  # noqa: ANN401 - Meanings
        found = keep(self, key)
        return known.setdefault(key, found) if key in self.births else found

    return meanings


def test_aliases_of_an_older_birth_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The oracle of names knows which birth is the newest."""
    monkeypatch.setattr(Sparkplug, "meanings", _aliases_of_yesterday(Sparkplug.meanings))
    assert "not what the newest birth says" in first_failure("decoder-sparkplug", tmp_path)


def test_the_quick_ways_of_sparkplug_are_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the oracle would look at the long way alone."""
    found = Counter[str]()

    def counted(name: str, way: Callable[..., Any]) -> Callable[..., Any]:
        def read(*words: Any) -> Any:  # noqa: ANN401 - as the way has them
            told = way(*words)
            found[name] += told is not None
            return told

        return read

    monkeypatch.setattr(Speaker, "read", counted("speaker", Speaker.read))
    monkeypatch.setattr(Sparkplug, "_quick_rows", counted("rows", Sparkplug._quick_rows))
    trial = Trial(BY_NAME["decoder-sparkplug"], tmp_path)
    for index in range(2 * ENOUGH):
        assert trial.run(BY_NAME["decoder-sparkplug"].input_of(SEED, index)) is None, index
    assert found["speaker"] > 100, found
    assert found["rows"] > 5, found


def test_a_speaker_that_knows_an_older_birth_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was looked up before a birth is not forgotten."""
    monkeypatch.setattr(Speaker, "_learn", _learnt_for_ever(Speaker._learn))
    assert "quickly" in first_failure("decoder-sparkplug", tmp_path)


def _learnt_for_ever(learn: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, Any], Any] = {}

    def learnt(self: Speaker, route: Any, ident: Any) -> Any:  # noqa: ANN401 - as it has them
        if not learn(self, route, ident):
            return False
        self._known[ident] = known.setdefault((id(self), ident), self._known[ident])
        return True

    return learnt


def test_births_without_end_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is remembered has its bound."""
    monkeypatch.setattr(Sparkplug, "_forget", _nothing_ends)
    monkeypatch.setattr(Sparkplug, "_make_room", lambda *_: None)
    assert "AssertionError" in first_failure("decoder-sparkplug", tmp_path)


def test_another_word_of_the_quick_way_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Milliseconds that are read as they stand."""
    monkeypatch.setattr(quick, "MILLISECOND_NS", 1)
    assert "AssertionError" in first_failure("decoder-json", tmp_path)


@pytest.mark.parametrize("format_", sorted(READERS))
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda one: one._replace(value=float("inf")), id="infinite"),
        pytest.param(lambda one: one._replace(t_ns=-1), id="before 1970"),
    ],
)
def test_values_that_nobody_may_have_are_seen(
    format_: str,
    fault: Callable[[Told], Told],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Of a reader that lets them through."""
    sound = READERS[format_]
    monkeypatch.setitem(
        formats.READERS, format_, lambda message: [fault(one) for one in sound(message)]
    )
    assert "AssertionError" in first_failure(f"decoder-{format_}", tmp_path)


def test_a_reason_that_nobody_knows_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reasons are published and counted: a new one is told on purpose."""

    def refuse(message: Any) -> Any:  # noqa: ANN401 - a Message
        raise WireError("made up", reason="made_up", topic=message.topic)

    monkeypatch.setitem(formats.READERS, "senml", refuse)
    assert "made_up" in first_failure("decoder-senml", tmp_path)
