"""Naming: asks the detector's head which failure mode an open event is, as its evidence grows.

A head is asked when an event rings, and again each time its samples have doubled, at counts that do
not depend on how the stream was cut. What it names goes first among the failure modes, with its row
cited. It changes no verdict and no severity: an event that it does not know rings as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from edge.alerts import explain
from edge.alerts.alerts import FaultClass
from edge.records import Track
from edge.samples.mode_rows import rows_at
from edge.samples.scoring import pad, pad_valid
from models.heads.features import LOOKS
from models.heads.notes import NORMAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.alerts.alerts import AlertRecord
    from edge.desk import Desk
    from edge.samples.scoring import F32, Mask, Parameters
    from edge.state import AssetState
    from edge.verdicts.aftermath import Voice
    from edge.verdicts.lookback import Lookback
    from models.bundles.bundle import AssetModel
    from models.heads.notes import Head

SAMPLES_MAX: Final = LOOKS[-1]  # of an event that are looked at, from its begin


@runtime_checkable
class Names(Protocol):
    """A detector that may have heads; `models.detector.Detector` is one."""

    heads: Mapping[str, Head]  # by asset

    def classify(
        self, x: F32, valid: Mask, parameters: Parameters, *, head: Head
    ) -> list[tuple[str | None, float, dict[str, float]]]:
        """Class, None abstained, and probabilities of windows x (a, n, c)."""


class Naming:
    """Names the process events of one asset. Times are plant time, ns."""

    def __init__(
        self, model: AssetModel, *, state: AssetState, desk: Desk, lookback: Lookback, voice: Voice
    ) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._lookback = lookback
        self._voice = voice
        detector = desk.parts.of(model.row_running).detector
        # asked once: it is dear to ask of each sample what a detector can
        self._detector = detector if isinstance(detector, Names) else None
        self._head = None if self._detector is None else self._detector.heads.get(model.asset)

    def look(self, t_ns: int) -> None:
        """Another sample: where an event is open and it is time, ask the head, if there is one."""
        detector, head = self._detector, self._head
        if detector is None or head is None or not self._state.tracks[Track.PROCESS].active:
            return
        record = self._state.alerts[Track.PROCESS]
        first = record.samples == 0
        record.samples = self._so_far(record, t_ns) if first else record.samples + 1
        if not record.rings or not _is_time(record):
            return
        record.classified = record.samples
        told = self._asked(detector, head, record, t_ns)
        before = record.fault.name if record.fault else ""
        if before == (told.name if told else ""):
            return
        record.fault = told
        self._say(record, before, t_ns=t_ns)

    def _so_far(self, record: AlertRecord, t_ns: int) -> int:
        """Samples of an event that has just opened: it began a little before."""
        times, _, _ = self._lookback.until(t_ns, SAMPLES_MAX)
        return max(int((times >= record.begin_ns).sum()), 1)

    def _asked(
        self, detector: Names, head: Head, record: AlertRecord, t_ns: int
    ) -> FaultClass | None:
        """What the head says of the event so far; None: it abstains, or says that nothing is wrong.

        It sees the samples of the baseline that holds now, without what is no measurement and what
        a job disturbs.
        """
        asset, part = self._model.asset, self._desk.parts.of(self._model.row_running)
        times, values, running = self._lookback.until(t_ns, SAMPLES_MAX)
        since = times >= record.begin_ns
        times, values, running = times[since], values[since], running[since]
        rows = rows_at(self._model, running, self._desk.ring.modes(asset, times))
        if not len(rows) or rows[-1] < 0 or not running[-1]:  # labels are of running
            return None
        valid = pad_valid(values, rows == rows[-1], part.width)
        unsound = self._desk.ring.unsound(asset, times)
        if unsound is not None:
            valid[:, : values.shape[1]] &= ~unsound
        for run in self._state.runs:
            if run.live:
                valid[:, : values.shape[1]] &= ~run.mask
        own, x = part.plain(int(rows[-1])), pad(values, part.width)
        name, p, _ = detector.classify(x[None], valid[None], own, head=head)[0]
        if name is None or name == NORMAL:
            return None
        return FaultClass(name=name, probability=p, windows=head.windows, samples=record.samples)

    def _say(self, record: AlertRecord, before: str, *, t_ns: int) -> None:
        """A revision with another class; what was considered and found in documents stands."""
        kept = tuple(one for one in record.sentences if one.role == "considered")
        found = explain.from_documents(record)
        said = self._voice.sentences(record, None, t_ns=t_ns)
        happened = tuple(one for one in said if one.role == "happened")
        others = tuple(one for one in said if one.role not in ("happened", "considered"))
        record.sentences = (*happened, *kept, *others, *found)
        fault = record.fault
        reason = (
            f"not {before} any more"
            if fault is None
            else f"classified as {fault.name}, probability {fault.probability:.2f}"
        )
        self._voice.publish(record, t_ns=t_ns, reason=reason)


def _is_time(record: AlertRecord) -> bool:
    """Whether an event has not been classified yet, or its samples have reached the next count."""
    done = record.classified
    return done == 0 or any(done < look <= record.samples for look in LOOKS)
