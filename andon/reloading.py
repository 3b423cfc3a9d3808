"""The command that lets a running gateway take over its changed configuration file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.gateway.reloading import Running

WAIT_S: Final = 60.0  # for the gateway's answer; a stop and a start take a second or two
LOOK_S: Final = 0.1
OTHER_FILE: Final = (
    "nothing was taken over: the gateway reads another file than this one, or has other ANDON__..."
    " variables, and finds nothing new there; name the file that `andon run` was given"
)


def reload(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    r"""Let a running gateway take over a changed gateway.toml and its tables; shows what changes.

    A file that is not valid, or changes what needs a restart, changes nothing (exit code 2). Exit
    code 1: it was not taken over.

    \b
    Examples:
      andon reload gateway.toml --dry-run
      andon reload gateway.toml --yes
    """
    from edge.configuration.changes import changes, shown
    from edge.configuration.config import load
    from edge.gateway.reloading import asked_of, placed, refuse_restart, try_out

    found = load(config)
    state = found.path(found.journal.dir)
    running = asked_of(state)
    differs = changes(running.config, placed(found))
    say = console()
    for line in shown(differs):
        say.print(line, markup=False, highlight=False, soft_wrap=True)
    if not differs.lines:
        say.print("nothing changes")
        return
    refuse_restart(differs)
    try_out(found)
    if dry_run:
        say.print("the running gateway can take it over")
        return
    if not yes and not typer.confirm("Take it over?"):
        raise typer.Exit(1)
    os.kill(running.pid, signal.SIGHUP)
    raise typer.Exit(_answer(state, running))


def _answer(state: Path, before: Running) -> int:
    """Wait for what the gateway says of it. Returns the exit code."""
    from edge.gateway.reloading import running_in

    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        now = running_in(state)
        if now.taken > before.taken:
            console().print("taken over")
            return 0
        if now.asked > before.asked:
            said = f"refused: {now.refused}" if now.refused else OTHER_FILE
            console().print(said, markup=False, highlight=False, soft_wrap=True)
            return 1
        time.sleep(LOOK_S)
    console().print(f"no answer within {WAIT_S:.0f} s; its log says more")
    return 1
