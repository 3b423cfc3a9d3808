"""The command that says what a gateway's memory is spent on."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.checks.memory import Memory

WHICH: Final = "name the process of `andon run`, as `pgrep -f 'andon run'` finds it"
SHOWN_CHARS_MAX: Final = 80  # of the command line of a process that is none
BEYOND: Final = (
    "What is weighed has taken a few samples and stands still; a gateway that runs has besides"
    " messages that wait, what is copied and packed for a checkpoint, the stacks of its threads,"
    " the broker's client, and room that the interpreter and the C library keep of what was freed."
)


def memory(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    pid: Annotated[int, typer.Option(help="Process of a running gateway, to set beside it.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
) -> None:
    """Say what a gateway's memory is spent on, part by part, before it runs.

    Puts together what the gateway would, in a process of its own that connects to nothing, and
    weighs it: libraries, detectors, knowledge, and what an asset costs.

    Examples: `andon memory gateway.toml`, `andon memory gateway.toml --pid 4711`
    """
    import subprocess

    if pid:
        _check_gateway(pid)  # before seconds of weighing
    command = [sys.executable, "-m", "edge.checks.memory", str(config)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our module
    if done.returncode:
        sys.stderr.write(done.stderr.decode(errors="replace"))
        raise typer.Exit(done.returncode)
    import msgspec

    from edge.checks.memory import Memory

    found = msgspec.json.decode(done.stdout, type=Memory)
    running = _running_mb(pid) if pid else math.nan
    if as_json:
        told = msgspec.to_builtins(found) | {"an_asset_kb": found.an_asset_kb}
        if pid:
            told |= {"running_rss_mb": running, "running_beyond_mb": running - found.rss_mb}
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())
    else:
        _show(found, running)


def _check_gateway(pid: int) -> None:
    """Raise BadParameter unless a process is one of `andon run`."""
    try:
        called = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError as error:
        raise typer.BadParameter(f"--pid {pid}: {error.strerror}; {WHICH}") from error
    first, *rest = called
    if Path(first).name.startswith("python"):  # what starts others, as sudo does, is none
        names = [Path(one).name for one in rest]
        rest = rest[names.index("andon") + 1 :] if "andon" in names else []
    elif Path(first).name != "andon":
        rest = []
    if rest[:1] != ["run"]:
        said = " ".join(called).strip()
        what = f"{name} ({said[:SHOWN_CHARS_MAX]})" if said else name
        raise typer.BadParameter(f"--pid {pid} is {what}, and no gateway; {WHICH}")


def _running_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"--pid {pid}: {error.strerror}; {WHICH}") from error
    told = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in told:
        raise typer.BadParameter(f"--pid {pid} has ended; {WHICH}")
    return int(told["VmRSS"].split()[0]) * 1024 / 1e6


def _show(found: Memory, running_mb: float) -> None:
    from rich.table import Table

    table = Table("part", title=f"{found.assets} assets, {found.channels} channels")
    table.add_column("MB", justify="right")
    table.add_column("kB an asset", justify="right")
    for one in found.parts:
        of_one = "" if one.an_asset_kb is None else f"{one.an_asset_kb:.1f}"
        name = f"{one.name} ({one.note})" if one.note else one.name
        table.add_row(name, f"{one.mb:.1f}", of_one)
    table.add_section()
    table.add_row("resident", f"{found.rss_mb:.1f}", f"{found.an_asset_kb:.1f}")
    console().print(table)
    if not math.isnan(running_mb):
        beyond = running_mb - found.rss_mb
        word = "more" if beyond >= 0 else "less"
        typer.echo(
            f"The running gateway has {running_mb:.1f} MB resident, {abs(beyond):.1f} MB {word}"
            f" than is weighed here. {BEYOND}"
        )
