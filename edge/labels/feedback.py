"""Labels out of a journal: what operators said of alerts, and which stretch each alert was about.

The journal is put through the engine once more. A word counts where the engine took it, so one that
was refused then is refused here; the stretch is that of the event which the alert was about when it
was said.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.assessment.label_words import REAL, Label
from edge.labels.table import QUOTE_CHARS_MAX, Bad
from edge.records import Note, Publish
from edge.replays.backtest import STEP_NS, episodes_of
from edge.replays.rerun import Rerun
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.assessment.assess import Episode
    from edge.engine import Engine
    from edge.labels.modes import ModeNames
    from edge.records import Effect
    from edge.replays.rerun import Kept
    from edge.settings import GatewaySettings

UNSURE: Final = "unsure"


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """One word of an operator that the engine took."""

    operator: str
    alert_id: str
    label: str
    note: str
    t_ns: int  # plant time


class _Listener:
    """Hears what an engine publishes and takes; see `Rerun.run`."""

    def __init__(self, settings: GatewaySettings) -> None:
        topics = Topics(settings.prefix, settings.site)
        self._events = f"{topics.root}/event/"
        self._results = f"{topics.root}/cmd_result/"
        self.revisions: list[dict[str, Any]] = []
        self.said: list[_Said] = []
        self.refused: list[Bad] = []
        self.end_ns = 0

    def __call__(self, engine: Engine, effects: tuple[Effect, ...]) -> bool:
        """Take in the effects of one stimulus; never enough seen."""
        self.end_ns = max(self.end_ns, engine.now_ns)
        for effect in effects:
            if isinstance(effect, Note) and effect.name == "feedback":
                self.said.append(
                    _Said(
                        operator=str(effect.fields["operator"]),
                        alert_id=str(effect.fields["alert"]),
                        label=str(effect.fields["label"]),
                        note=str(effect.fields["note"])[:QUOTE_CHARS_MAX].strip(),
                        t_ns=engine.now_ns,
                    )
                )
            elif isinstance(effect, Publish) and effect.topic.startswith(self._events):
                self.revisions.append(msgspec.json.decode(effect.payload))
            elif isinstance(effect, Publish) and effect.topic.startswith(self._results):
                self._result(effect)
        return False

    def _result(self, effect: Publish) -> None:
        told = msgspec.json.decode(effect.payload)
        if told["command"] == "feedback" and not told["done"]:
            operator = effect.topic.removeprefix(self._results)
            self.refused.append(Bad(place=f"feedback of {operator}", because=told["detail"]))


def feedback_labels(
    kept: Kept, *, names: ModeNames, progress: Callable[[int], object] = int
) -> tuple[list[Label], list[Bad], list[str]]:
    """Labels that operators gave in a journal; words that say nothing, and why; notes of the rerun.

    `real` with a note that is nothing but a failure mode's id or name is a label of that mode.
    progress: hears bytes read. Raises AndonError, ModelError or KnowledgeError.
    """
    rerun = Rerun(kept)
    heard = _Listener(kept.settings)
    try:
        rerun.run(heard, begin_ns=0, step_ns=STEP_NS, progress=progress)
    finally:
        rerun.close()
    of_alert: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes_of(heard.revisions):
        of_alert[episode.alert_id].append(episode)
    labels, bad = [], heard.refused
    for said in heard.said:
        place = f"feedback of {said.operator} on {said.alert_id}"
        about = [one for one in of_alert[said.alert_id] if one.opened_ns <= said.t_ns]
        if said.label == UNSURE:
            bad.append(Bad(place=place, because="unsure says neither"))
        elif not about:
            why = "no such alert rang before in this journal with this bundle"
            bad.append(Bad(place=place, because=why))
        else:
            episode = max(about, key=lambda one: one.opened_ns)
            labels.append(_label(said, episode, names=names, end_ns=heard.end_ns))
    return labels, bad, rerun.notes


def _label(said: _Said, episode: Episode, *, names: ModeNames, end_ns: int) -> Label:
    """One word about one event; an event that is not over ends with what is known of it by now."""
    label = said.label
    if label == REAL and said.note:
        try:
            label = names.label(said.note, episode.asset)
        except ValueError:  # words about it, and no label
            label = REAL
        label = label if names.is_mode(label, episode.asset) else REAL
    return Label(
        asset=episode.asset,
        begin_ns=episode.begin_ns,
        end_ns=max(episode.ended_ns or end_ns, episode.begin_ns + 1),
        label=label,
        source="feedback",
        reference=f"{episode.alert_id} {episode.count}",
        said_by=said.operator,
        recorded_at_ns=said.t_ns,
        quote=said.note,
    )
