"""The campaign against the truth: what was sent, and what a run without any fault says of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.assembly.assembly import assemble
from edge.configuration.config import load
from edge.knowledge.retrieve import look_up
from edge.records import RowsScored
from edge.replays.backtest import Backtest, with_ticks
from edge.storage.checkpoint import newest
from edge.storage.journal import read_journal
from tests.chaos.rig import keyed

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly
    from edge.recordings.recording import TimedMessage
    from edge.records import Effect, Publish
    from tests.chaos.plant import Plant
    from tests.chaos.rig import Key, Rig

# What an alert is in the end. Not its revision and explanation: retrieval may be slow or down.
FINAL: Final = (
    "state", "active", "suppressed", "class", "severity", "decision", "job_id", "begin_ms",
    "count", "top_channel",
)  # fmt: skip

Episode = tuple[str, str, int]  # topic, id, count


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What came of it. wrong: a line for each thing that is not as it must be.

    What was not judged counts as not arrived: until then no sample is scored, every alert lost.
    """

    samples_sent: int = 0
    samples_scored: int = 0  # exactly once
    samples_scored_twice: int = 0
    alerts_expected: int = 0
    alerts_lost: int = 0
    ids_doubled: int = 0
    broker_losses: int = 0
    messages_sent_again: int = 0  # after those
    revisions_lost_by_broker: int = 0
    wrong: list[str] = field(default_factory=list)
    expected: dict[Episode, dict[str, Any]] = field(default_factory=dict)

    def expect(self, plant: Plant) -> None:
        """Note what a campaign with this plant has to end with."""
        self.expected = uninterrupted(plant)
        self.alerts_expected = self.alerts_lost = len(self.expected)


def note(verdict: Verdict, rig: Rig) -> None:
    """Note what can be counted of a campaign before anything is compared, wherever it stands."""
    sent = rig.plant.messages[: max(rig.confirmed_most, rig.sender.confirmed)]
    verdict.samples_sent = sum(samples_in(rig.plant, message) for message in sent)
    verdict.broker_losses, verdict.messages_sent_again = rig.broker_losses, rig.sent_again
    verdict.ids_doubled = len(_doubled(_decided(rig), keyed(rig.witness.all())))


def samples_in(plant: Plant, message: TimedMessage) -> int:
    """How many samples a message of the plant carries."""
    if message.topic.rpartition("/")[2] not in plant.assets:
        return 0
    return len(msgspec.json.decode(message.payload)["ts"])


def _decided(rig: Rig) -> list[tuple[Key, bytes]]:
    return [((topic, name, revision), body) for topic, name, revision, body in rig.gateway.outbox()]


def judge(verdict: Verdict, rig: Rig) -> None:
    """Compare plant, journal, outbox, witness and topics of a campaign that has ended."""
    again, rows, assembly = _taken_again(rig)
    decided = _decided(rig)
    heard = keyed(rig.witness.all())
    _samples(verdict, rig, rows, assembly)
    doubled = _doubled(again, decided, heard)
    verdict.ids_doubled = len(doubled)
    verdict.wrong += [f"two contents under {key}" for key in doubled[:3]]
    if again != decided:
        at = next((i for i, (a, b) in enumerate(zip(again, decided, strict=False)) if a != b), -1)
        verdict.wrong.append(
            f"the journal gives {len(again)} revisions, the outbox holds {len(decided)};"
            f" the first that differs is number {at}"
        )
    gone = {key for key, _ in decided} - {key for key, _ in heard}
    verdict.revisions_lost_by_broker = len(gone & rig.lost_by_broker)
    if missing := gone - rig.lost_by_broker:
        verdict.wrong.append(f"{len(missing)} revisions were never heard, as {min(missing)}")
    _alerts(verdict, dict(decided), excused=rig.lost_by_broker, heard=dict(heard))
    _topics(verdict, dict(decided), rig.last_words())


def _taken_again(rig: Rig) -> tuple[list[tuple[Key, bytes]], Counter[tuple[str, int]], Assembly]:
    """The campaign's journal through a fresh engine: what it decides and which rows it scores."""
    assembly = assemble(rig.config)
    rows: Counter[tuple[str, int]] = Counter()

    def watch(effect: Effect, _now_ns: int) -> None:
        if isinstance(effect, RowsScored):
            rows.update((effect.asset, t_ns) for t_ns in effect.t_ns.tolist())

    assembly.engine.tell_rows()
    backtest = Backtest(assembly.engine, watch=watch)
    backtest.run((e.now_ns, e.stimulus) for e in read_journal(rig.journaled.directory))
    return [_pair(message) for message in backtest.published], rows, assembly


def _pair(message: Publish) -> tuple[Key, bytes]:
    assert message.key is not None
    return (message.topic, *message.key), message.payload


def _samples(
    verdict: Verdict, rig: Rig, rows: Counter[tuple[str, int]], assembly: Assembly
) -> None:
    """Each sample once, by the journal and by the state that the live gateway kept."""
    verdict.samples_scored = sum(times == 1 for times in rows.values())
    verdict.samples_scored_twice = sum(times > 1 for times in rows.values())
    found, troubles = newest(rig.gateway.state / "checkpoints", fingerprint=assembly.fingerprint_of)
    verdict.wrong += troubles
    if found is None:
        verdict.wrong.append("no checkpoint is there")
        return
    for asset, ring in found.state.ring.assets.items():
        if ring.written != rig.plant.rows:
            verdict.wrong.append(
                f"{asset}: the gateway's own state counts {ring.written} samples,"
                f" {rig.plant.rows} were sent"
            )


def _doubled(*records: list[tuple[Key, bytes]]) -> list[Key]:
    """Keys with two contents, over all records together."""
    contents: dict[Key, set[bytes]] = defaultdict(set)
    for record in records:
        for key, payload in record:
            contents[key].add(payload)
    return [key for key, found in contents.items() if len(found) > 1]


def uninterrupted(plant: Plant) -> dict[Episode, dict[str, Any]]:
    """The last word on every alert of a run over the same messages in which nothing happens."""
    assembly = assemble(load(plant.config, environment={}))
    backtest = Backtest(
        assembly.engine,
        lookup=lambda asked, now_ns: look_up(assembly.snapshot, asked, now_ns=now_ns),
    )
    backtest.run(with_ticks(plant.messages))
    return last_words([_pair(message) for message in backtest.published])


def last_words(published: list[tuple[Key, bytes]]) -> dict[Episode, dict[str, Any]]:
    """The newest revision of every episode on an alert topic."""
    words: dict[Episode, dict[str, Any]] = {}
    for (topic, name, revision), payload in published:
        if topic.split("/")[2] != "alert":
            continue
        body = msgspec.json.decode(payload)
        episode = (topic, name, body["count"])
        if episode not in words or words[episode]["revision"] < revision:
            words[episode] = body
    return words


def _alerts(
    verdict: Verdict,
    decided: dict[Key, bytes],
    *,
    excused: set[Key],
    heard: dict[Key, bytes],
) -> None:
    """Each alert of the uninterrupted run is there, ends alike, and its last word was heard."""
    ours, lost = last_words(list(decided.items())), 0
    for episode, body in verdict.expected.items():
        topic, name, _ = episode
        mine = ours.get(episode)
        if mine is None:
            why = "was never decided"
        elif any(mine[one] != body[one] for one in FINAL):
            differs = {one: (body[one], mine[one]) for one in FINAL if mine[one] != body[one]}
            why = f"ends otherwise: {differs}"
        elif (key := (topic, name, mine["revision"])) not in heard and key not in excused:
            why = "its last word was never heard"
        else:
            continue
        lost += 1
        verdict.wrong.append(f"{episode} {why}")
    verdict.alerts_lost = lost
    if more := [str(episode) for episode in ours if episode not in verdict.expected]:
        verdict.wrong.append(f"{len(more)} alerts that an uninterrupted run has not, as {more[0]}")


def _topics(verdict: Verdict, decided: dict[Key, bytes], standing: dict[str, bytes]) -> None:
    """Every retained alert topic holds the last word, whatever the broker forgot."""
    last = {topic: payload for (topic, _, _), payload in decided.items() if "/alert/" in topic}
    behind = [topic for topic, payload in last.items() if standing.get(topic) != payload]
    verdict.wrong += [f"{topic} does not hold the last word" for topic in behind]
