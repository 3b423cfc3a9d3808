"""`python -m tests.chaos` (`make chaos KILLS=200`): kill a gateway at random, count what is lost.

A weld cell's shift is sent while the gateway dies again and again, its broker restarts, forgets and
hangs, and the connection between them is cut or stalls. Then everything heals, and what was heard
is compared with what a run without any fault says. However it ends, the last line is one JSON
object, and the line before it another of what else was counted. Exit code 1 when something is lost,
doubled or was not judged, or a stop took too long; 2 when a program is missing.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.campaign import STOP_S_MAX, CampaignError, Tally, run
from tests.chaos.plant import make_plant, remove
from tests.chaos.rig import missing_programs
from tests.chaos.truth import Verdict

WRONG_SHOWN = 12


def main(arguments: list[str] | None = None) -> int:
    """Run one campaign; returns the exit code."""
    options = _options(arguments)
    if lacks := missing_programs():
        sys.stderr.write(
            f"chaos needs {' and '.join(lacks)}, not found on PATH or in /usr/sbin."
            " On Debian and Ubuntu: apt-get install mosquitto mosquitto-clients\n"
        )
        return 2
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    begin_s = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begin_s:7.1f} s  {text}\n")
        sys.stderr.flush()

    again = f"make chaos KILLS={options.kills} SEED={seed}"
    folder = Path(tempfile.mkdtemp(prefix="andon-chaos-", dir=options.directory))
    say(f"seed {seed}, in {folder}; once more with: {again}")
    tally, verdict = Tally(), Verdict()
    try:
        plant = make_plant(folder, seed=seed, kills=options.kills)
        say(f"{len(plant.messages)} messages, {plant.samples} samples")
        run(
            plant,
            folder,
            seed=seed,
            kills=options.kills,
            say=say,
            seconds_max=options.minutes * 60,
            verdict=verdict,
            tally=tally,
        )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, say the counts
        verdict.wrong.insert(0, _aborted(error))
    if tally.stop_s_max > options.stop_seconds:
        verdict.wrong.append(
            f"the longest stop took {tally.stop_s_max:.1f} s, and may take {options.stop_seconds:g}"
        )
    failed = bool(verdict.wrong) or verdict.samples_scored != verdict.samples_sent
    for line in verdict.wrong[:WRONG_SHOWN]:
        say(f"WRONG: {line}")
    if failed:
        say(f"kept: {folder}; once more with: {again}")
    else:
        remove(folder)
    more = _more(verdict, tally) | {
        "wrong": len(verdict.wrong),
        "seconds": round(time.monotonic() - begin_s, 1),
        "seed": seed,
    }
    for figures in (more, _figures(verdict, tally)):
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    return int(failed)


def _aborted(error: BaseException) -> str:
    """What ended a campaign before it was judged: by what the gateway did, or by a mistake here."""
    if isinstance(error, CampaignError):
        told = "\n".join([str(error), *getattr(error, "__notes__", [])])
    else:
        told = "".join(traceback.format_exception(error)).rstrip()
    return f"not judged to the end: {told}"


def _figures(verdict: Verdict, tally: Tally) -> dict[str, int]:
    """What the last line says."""
    return {
        "kills": tally.kills,
        "samples_sent": verdict.samples_sent,
        "samples_scored": verdict.samples_scored,
        "alerts_expected": verdict.alerts_expected,
        "alerts_lost": verdict.alerts_lost,
        "ids_doubled": verdict.ids_doubled,
    }


def _more(verdict: Verdict, tally: Tally) -> dict[str, int | float]:
    """What the line before it says."""
    return {
        "samples_scored_twice": verdict.samples_scored_twice,
        "kills_at_points": tally.at_points,
        "faults": tally.faults,
        "takeovers": tally.swaps,
        "stops": tally.stops,
        "stop_s_max": round(tally.stop_s_max, 2),
        "broker_losses": verdict.broker_losses,
        "messages_sent_again": verdict.messages_sent_again,
        "revisions_lost_by_broker": verdict.revisions_lost_by_broker,
    }


def _options(arguments: list[str] | None) -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Kill a gateway at random and count what is lost."
    )
    parser.add_argument("--kills", type=int, default=200, help="how often (200)")
    parser.add_argument("--seed", type=int, default=None, help="of everything that is drawn")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="kill for so long at most"
    )
    parser.add_argument(
        "--stop-seconds", type=float, default=STOP_S_MAX, help=f"a stop may take ({STOP_S_MAX:g})"
    )
    parser.add_argument("--directory", type=Path, default=None, help="where to work (temporary)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
