"""`python -m tests.newcomer` (`make newcomer`): a newcomer's quarter of an hour, timed.

Clones this repository (what is committed of it), makes its environment, and goes from a broker that
carries four formats at once to an alert on the operator's page, with what a newcomer would type.
Prints a line a step while it works, then a table. Exit code 1: a step failed, or all of them took
more than fifteen minutes. It imports nothing of ours, as there is no environment at its beginning.

Try:
  make newcomer
  make newcomer ARGS="--json newcomer.json"
  python3 -m tests.newcomer --minutes 5 --no-demo
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.newcomer.rig import (
    PLANT,
    WAIT,
    WORK,
    Rig,
    StepError,
    environment_of,
    free_port,
    listens_on,
    table,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 900.0
LISTEN_S: Final = 20  # `andon discover`: more than ten steps of the slowest tag
NEEDED: Final = {
    "git": "git",
    "make": "make",
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
}
FORMATS: Final = ("Kepware IoT Gateway", "Sparkplug B", "a value a topic", "JSON, wide")
FIRST: Final = "press-01"  # JSON; then one of each other format
OTHERS: Final = ("mill1", "Line4.Lathe1", "mixer-1")
AMPERES: Final = 3.0  # of 12, usual are 11.5 to 12.5
PAPER: Final = """\
# Press line, maintenance manual

## Motor current too high

Where the motor current of press-01 rises, check the ram guide for dry spots and the drive belt for
tension. Stop after the part.
"""
# What only somebody who knows the plant can write into the file that `andon discover` proposes.
KNOWN: Final = """\
id = "press-01"
cause = "dry ram guide or tight belt"
consequence = "scrap and a bent die"
action = "stop after the part, check the ram guide"
"""


class Newcomer:
    """One newcomer, from a clone to an alert. found: what was learned on the way."""

    def __init__(self, rig: Rig, *, minutes: float, demo: bool) -> None:
        self._rig, self._minutes, self._demo = rig, minutes, demo
        self._clone = rig.folder / "andon"
        self._port, self._page = str(free_port()), free_port()
        self._plant: subprocess.Popen[bytes]
        self.found: dict[str, Any] = {}

    def go(self) -> None:
        """All steps in turn. Raises StepError at the first that fails."""
        self._set_up()
        self._begin_plant()
        self._configure()
        self._serve()
        self._alert()

    def _do(
        self, name: str, shown: str, *command: str, seconds_max: float, kind: str = WORK
    ) -> str:
        with self._rig.step(name, shown, kind):
            return self._rig.run(command or shown.split(), seconds_max=seconds_max)

    def _set_up(self) -> None:
        clone = ("git", "clone", "-q", str(ROOT), str(self._clone))
        self._do("clone", "git clone ...", *clone, seconds_max=120.0)
        made = ("make", "-C", str(self._clone), ".venv/runtime.stamp")
        self._do("the environment", "make demo (its first part)", *made, seconds_max=900.0)
        if self._demo:
            demo = ("make", "-C", str(self._clone), "demo")
            self._do("a shift, live", "make demo (the shift)", *demo, seconds_max=300.0)
        commit = self._rig.run(("git", "-C", str(self._clone), "rev-parse", "HEAD"), seconds_max=30)
        self.found["commit"] = commit.strip()

    def _begin_plant(self) -> None:
        rig = self._rig
        with rig.step("a broker, and machines in four formats", "mosquitto -p 1883", PLANT):
            broker = rig.start(("mosquitto", "-p", self._port), log="mosquitto.log")
            self._until(lambda: listens_on(int(self._port)), "mosquitto, listening")
            python = str(self._clone / ".venv" / "bin" / "python")
            sends = (python, "-m", "tests.broker.four_formats", self._port)
            self._plant = rig.start(sends, log="plant.log", cwd=self._clone)
            self._hear("#", seconds_max=30)
            rig.still_there(broker, log="mosquitto.log")
            rig.still_there(self._plant, log="plant.log")

    def _hear(self, *topics: str, seconds_max: int) -> list[str]:
        """The first message of each topic filter, in their order."""
        found = []
        for topic in topics:
            listens = ("mosquitto_sub", "-p", self._port, "-W", str(seconds_max), "-t", topic)
            found.append(self._rig.run((*listens, "-C", "1"), seconds_max=seconds_max + 10.0))
        return found

    def _configure(self) -> None:
        at = f"127.0.0.1:{self._port}"
        self._do(
            "see what the broker carries",
            f"andon discover --broker ... --seconds {LISTEN_S} -o gateway.toml",
            *f"andon discover --broker {at} --seconds {LISTEN_S} -o gateway.toml".split(),
            seconds_max=LISTEN_S + 60.0,
            kind=WAIT,
        )
        self._write()
        self._do("papers of the plant", "andon kb build papers -o kb", seconds_max=120.0)
        self._do("what counts, what is wrong", "andon check gateway.toml", seconds_max=120.0)
        learn = f"andon learn gateway.toml --minutes {self._minutes:g}"
        allowed_s = self._minutes * 60.0 + 180.0
        self._do("learn what is normal", learn, seconds_max=allowed_s, kind=WAIT)
        self._do("once more, with a detector", "andon check gateway.toml", seconds_max=120.0)

    def _write(self) -> None:
        """What a person adds: a manual, and what a fault of one press means."""
        papers = self._rig.folder / "papers"
        papers.mkdir()
        (papers / "press.md").write_text(PAPER, encoding="utf-8")
        path = self._rig.folder / "gateway.toml"
        text = path.read_text(encoding="utf-8")
        missing = [one for one in FORMATS if f"[[asset]]  # {one};" not in text]
        if missing:
            message = f"{path.name} has no asset of {', '.join(missing)}: was it not recognised?"
            raise StepError(message)
        self.found["formats"] = list(FORMATS)
        place = f'id = "{FIRST}"\n'
        if text.count(place) != 1:
            message = f"{path.name} has {place.strip()} {text.count(place)} times, expected once"
            raise StepError(message)
        text = text.replace(place, KNOWN) + '\n[kb]\nsnapshot = "kb"\n'
        path.write_text(text, encoding="utf-8")

    def _serve(self) -> None:
        rig = self._rig
        with rig.step("run it", "andon run gateway.toml &"):
            gateway = rig.start(("andon", "run", "gateway.toml"), log="gateway.log")
            self._hear(f"andon/+/commissioning/{FIRST}", seconds_max=60)
            self._until(
                lambda: any((rig.folder / "state" / "checkpoints").glob("*")),
                "its first checkpoint, from which `andon accept` knows what an asset has shown",
            )
            rig.still_there(gateway, log="gateway.log")
        with rig.step("the operator's page", "andon page gateway.toml &"):
            listen = f"127.0.0.1:{self._page}"
            page = rig.start(("andon", "page", "gateway.toml", "--listen", listen), log="page.log")
            self._until(self._answers, f"an answer of http://{listen}/")
            rig.still_there(page, log="page.log")
        said = "--by ann --because"
        accept = f"andon accept --config gateway.toml --asset {FIRST} --yes {said}".split()
        self._do(
            "put a machine into service",
            f"andon accept --asset {FIRST} {said} ...",
            *accept,
            "looked at it",
            seconds_max=60.0,
        )

    @staticmethod
    def _until(holds: Callable[[], bool], what: str, seconds_max: float = 60.0) -> None:
        end_s = time.monotonic() + seconds_max
        while not holds():
            if time.monotonic() > end_s:
                message = f"not there within {seconds_max:.0f} s: {what}"
                raise StepError(message)
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._page}/", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _alert(self) -> None:
        begin_ms = time.time() * 1000.0
        with self._rig.step("a fault; its alert on the topic", "mosquitto_sub -t 'andon/#' ..."):
            self._fault(FIRST)
            alert = self._alert_of(FIRST, begin_ms)
        self.found["fault_to_alert_s"] = round((time.time() * 1000.0 - begin_ms) / 1000.0, 1)
        with self._rig.step("the alert on the page", "http://127.0.0.1:8080"):
            self._on_page(alert["id"])
        with self._rig.step("why, and the passage that says so", "mosquitto_sub -t 'andon/#' ..."):
            end_s = time.monotonic() + 30.0
            while not alert["source"]:
                if time.monotonic() > end_s:
                    message = f"no revision of {alert['id']} cites the manual within 30 s"
                    raise StepError(message)
                alert = self._alert_of(FIRST, begin_ms)
        self.found["alert"] = {key: alert[key] for key in ("message", "advice", "source")}
        begin_ms = time.time() * 1000.0
        with self._rig.step("a fault in each other format", "mosquitto_sub -t 'andon/#' ..."):
            for asset in OTHERS:
                self._fault(asset)
            for asset in OTHERS:
                self._alert_of(asset, begin_ms)

    def _fault(self, asset: str) -> None:
        if self._plant.stdin is None:
            message = "the plant takes no faults: it was started without standard input"
            raise StepError(message)
        self._plant.stdin.write(f"{asset} {AMPERES}\n".encode())
        self._plant.stdin.flush()

    def _alert_of(self, asset: str, since_ms: float) -> dict[str, Any]:
        """The first alert of an asset; Raises StepError where it began before the fault."""
        (said,) = self._hear(f"andon/+/alert/{asset}/process", seconds_max=60)
        alert: dict[str, Any] = json.loads(said)
        if not alert["active"] or alert["begin_ms"] < since_ms - 1000.0:
            message = f"{asset} rang before its fault, or not at all: {alert['message']}"
            raise StepError(message)
        return alert

    def _on_page(self, alert_id: str) -> None:
        """Read what the page sends to browsers until it tells of an alert."""
        end_s = time.monotonic() + 60.0
        url = f"http://127.0.0.1:{self._page}/stream"
        with urllib.request.urlopen(url, timeout=30) as stream:
            for line in stream:
                if alert_id.encode() in line:
                    return
                if time.monotonic() > end_s:
                    break
        message = f"the page did not tell of {alert_id} within 60 s"
        raise StepError(message)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    about, _, examples = (__doc__ or "").partition("Try:")
    parser = argparse.ArgumentParser(
        prog="python -m tests.newcomer",
        description=about,
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="that `andon learn` records; in a plant 60"
    )
    parser.add_argument("--no-demo", action="store_true", help="leave out the shift of `make demo`")
    return parser.parse_args(arguments)


def report(newcomer_found: dict[str, Any], rig: Rig) -> dict[str, Any]:
    """All figures, for a file of JSON."""
    total_s = sum(one.seconds for one in rig.steps)
    return {
        "schema": "andon/newcomer/1",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **newcomer_found,
        "steps": [
            {
                "step": one.name,
                "command": one.command,
                "kind": one.kind,
                "seconds": round(one.seconds, 1),
                "trouble": one.trouble,
            }
            for one in rig.steps
        ],
        "total_s": round(total_s, 1),
        "limit_s": LIMIT_S,
    }


def main(arguments: list[str] | None = None) -> int:
    """Go through all steps; the exit code."""
    asked = options(arguments)
    with tempfile.TemporaryDirectory(prefix="andon-newcomer-") as name:
        folder = Path(name)
        environment = environment_of(folder / "andon")
        for program, package in NEEDED.items():
            if not shutil.which(program, path=environment["PATH"]):
                sys.stderr.write(f"{program} is not on the path: install the package {package}\n")
                return 1
        with Rig(folder, environment) as rig:
            newcomer = Newcomer(rig, minutes=asked.minutes, demo=not asked.no_demo)
            try:
                newcomer.go()
                trouble = ""
            except (StepError, OSError, ValueError) as error:
                trouble = f"{rig.steps[-1].name if rig.steps else 'start'}: {error}"
    figures = report(newcomer.found, rig)
    if not trouble and figures["total_s"] > LIMIT_S:
        trouble = f"it took {figures['total_s']:.0f} s, expected at most {LIMIT_S:.0f} s"
    sys.stdout.write(f"{table(rig.steps)}\n")
    if asked.json:
        asked.json.write_text(json.dumps(figures | {"trouble": trouble}, indent=1) + "\n", "utf-8")
    if trouble:
        sys.stderr.write(f"FAILED: {trouble}\n")
    return int(bool(trouble))


if __name__ == "__main__":
    sys.exit(main())
