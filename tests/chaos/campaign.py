"""A campaign: lives of a gateway one after another, each ended by force, and then the drain."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from tests.broker.gateways import online
from tests.chaos.plan import drawn
from tests.chaos.rig import Rig
from tests.chaos.truth import judge, note
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.plan import Cycle, Fault
    from tests.chaos.plant import Plant
    from tests.chaos.truth import Verdict

LOOK_S: Final = 0.02
STOP_S_MAX: Final = 5.0  # how long a stop may take
HUNG_S: Final = 30.0  # longer, and nobody waits for how long it takes
DRAIN_S_MAX: Final = 600.0
KILLED: Final = -signal.SIGKILL
BIRTH_S_MAX: Final = 8.0  # longer it lives where everybody waits for it to come back
RESTORED_S_MAX: Final = 60.0


class CampaignError(Exception):
    """The gateway did what it must not do: it ended by itself, or would not stop or drain."""


@dataclass(slots=True)
class Tally:
    """How a campaign went."""

    kills: int = 0
    at_points: int = 0
    stops: int = 0
    stop_s_max: float = 0.0
    faults: int = 0
    swaps: int = 0
    start_s: float = 1.0  # what a start took
    ends: list[tuple[float, Callable[[], None]]] = field(default_factory=list)


def run(
    plant: Plant,
    folder: Path,
    *,
    seed: int,
    kills: int,
    say: Callable[[str], object],
    seconds_max: float = float("inf"),
    verdict: Verdict,
    tally: Tally,
) -> None:
    """Kill a gateway `kills` times, let it drain, and judge it; fewer times in `seconds_max`.

    verdict, tally: filled as it goes, so that they hold what was counted wherever it ends. Raises
    CampaignError, and whatever the rig itself fails with.
    """
    verdict.expect(plant)
    with Rig(plant, folder) as rig:
        try:
            _lives(rig, seed=seed, kills=kills, say=say, seconds_max=seconds_max, tally=tally)
            say("draining")
            _drain(rig, tally)
        finally:
            note(verdict, rig)
        say("judging")
        judge(verdict, rig)


def _lives(
    rig: Rig,
    *,
    seed: int,
    kills: int,
    say: Callable[[str], object],
    seconds_max: float,
    tally: Tally,
) -> None:
    """One life after another; then every fault ends."""
    random = Random(seed)
    messages = len(rig.plant.messages)
    until_s = time.monotonic() + seconds_max
    begin_s = time.monotonic()
    rig.gateway.begin()
    online(rig.witness, rig.gateway)  # from here on the broker keeps what it has not taken
    tally.start_s = time.monotonic() - begin_s
    rig.gateway.kill()
    tally.kills += 1
    while tally.kills < kills and time.monotonic() < until_s:
        cycle = drawn(random)
        share = (tally.kills + 1) / kills
        rig.sender.release(int(messages * share), over_s=cycle.ends_s)
        _live(rig, cycle, tally)
        say(
            f"{tally.kills}/{kills} kills, {tally.faults} faults, {tally.swaps} takeovers,"
            f" {rig.sender.confirmed}/{messages} messages confirmed"
        )
    for _, end in tally.ends:
        end()


def _live(rig: Rig, cycle: Cycle, tally: Tally) -> None:
    """One life of the gateway. Its time counts from its restoring, in mid-start from its begin."""
    life = rig.gateway.begin(cycle.point)
    begin_s = time.monotonic()
    lived = begin_s if cycle.in_start else float("inf")
    ends_s = cycle.ends_s * (tally.start_s if cycle.in_start else 1.0)
    faults = sorted(cycle.faults, key=lambda fault: fault.at_s, reverse=True)
    swap = cycle.swap
    while rig.gateway.running:
        now_s = time.monotonic()
        _end_faults(tally, now_s)
        rig.look()
        if lived > now_s and (
            rig.gateway.said("restored") > life or now_s - begin_s > RESTORED_S_MAX
        ):
            lived = now_s
        while faults and now_s - lived >= faults[-1].at_s:
            _begin_fault(rig, faults.pop(), tally, now_s)
        if swap and now_s - lived >= ends_s / 2:
            tally.swaps += 1
            rig.swap(swap)
            swap = ""
        patience_s = BIRTH_S_MAX if rig.waits_for_birth and not cycle.in_start else 0.0
        if now_s - lived >= ends_s - cycle.stop_s + patience_s:
            if cycle.stop_s:
                _stop(rig, cycle, tally)
                return
            rig.gateway.kill()
            tally.kills += 1
            return
        time.sleep(LOOK_S)
    if rig.gateway.code != KILLED or not cycle.point:
        raise CampaignError(f"the gateway ended by itself with code {rig.gateway.code}")
    tally.kills += 1
    tally.at_points += 1


def _begin_fault(rig: Rig, fault: Fault, tally: Tally, now_s: float) -> None:
    if (end := rig.begin(fault)) is not None:
        tally.faults += 1
        tally.ends.append((now_s + fault.for_s, end))


def _stop(rig: Rig, cycle: Cycle, tally: Tally) -> None:
    """Ask it to stop; kill it in the middle of that, or see how long it takes."""
    rig.gateway.send(signal.SIGCONT)
    begin_s = time.monotonic()
    rig.gateway.send(signal.SIGTERM)
    patience_s = HUNG_S if cycle.whole_stop else cycle.stop_s
    while rig.gateway.running and time.monotonic() - begin_s < patience_s:
        time.sleep(LOOK_S / 4)
    took_s = time.monotonic() - begin_s
    if rig.gateway.running:
        if cycle.whole_stop:
            tally.stop_s_max = took_s
            raise CampaignError(f"the gateway did not stop within {HUNG_S:.0f} s")
        rig.gateway.kill()
        tally.kills += 1
        return
    if rig.gateway.code not in {0, -signal.SIGTERM}:  # by the signal: it was still starting
        raise CampaignError(f"asked to stop, the gateway ended with code {rig.gateway.code}")
    tally.stops += 1
    tally.stop_s_max = max(tally.stop_s_max, took_s)


def _end_faults(tally: Tally, now_s: float) -> None:
    """End what has lasted long enough, also over the gateway's death."""
    due = [end for until_s, end in tally.ends if now_s >= until_s]
    tally.ends = [(until_s, end) for until_s, end in tally.ends if now_s < until_s]
    for end in due:
        end()


def _drain(rig: Rig, tally: Tally) -> None:
    """Everything heals; the gateway takes and delivers what is left, and stops."""
    rig.gateway.begin()
    plant = rig.plant
    rig.sender.release(len(plant.messages), over_s=0.0)
    begin_ms = time.time_ns() // 1_000_000

    def drained() -> bool:
        rig.look()
        if not rig.gateway.running:
            raise CampaignError(f"the gateway ended by itself with code {rig.gateway.code}")
        health = rig.witness.of("health")
        if not rig.sender.done or not health:
            return False
        last = health[-1].body
        return bool(
            last["ts_ms"] > begin_ms
            and last["plant_ms"] >= plant.end_ns // 1_000_000
            and last["queue_depth"] == 0
            and last["outbox_pending"] == 0
        )

    try:
        wait_until(drained, seconds_max=DRAIN_S_MAX, what="the end of what was sent")
    except AssertionError as error:
        raise CampaignError(f"it does not drain: {error}") from error
    begin_s = time.monotonic()
    try:
        code = rig.gateway.stop()
    except subprocess.TimeoutExpired as error:
        raise CampaignError(f"the last stop did not end within {HUNG_S:.0f} s") from error
    finally:
        tally.stop_s_max = max(tally.stop_s_max, time.monotonic() - begin_s)
    if code != 0:
        raise CampaignError(f"the last stop ended with code {code}")
    tally.stops += 1
