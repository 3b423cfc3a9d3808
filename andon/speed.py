"""The command `andon bench speed`: how fast it is here, and beside whom."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from benchmarks.speed.run import Run


WIDE: Final = 120  # columns of a terminal on which a table has room for what a ratio is to


def speed(
    file: Annotated[
        Path | None, typer.Argument(help="Where --json writes; without it on stdout.")
    ] = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Also river, pysad, PyOD, numalogic, stumpy, bytewax; installs them."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The figures as JSON, and nothing else on stdout.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots.")] = None,
    docs: Annotated[
        Path | None,
        typer.Option(help="Write a page of the documentation, and the run beside it as .json."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds: rougher figures, sooner.")
    ] = False,
    parts: Annotated[
        str, typer.Option(help="Only these, with commas, as limits,hot_loop; else all.")
    ] = "",
    peers_directory: Annotated[
        Path | None,
        typer.Option(help="Where environments of peers are kept; else in the user's cache."),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: show a run that --docs has written.", exists=True),
    ] = None,
) -> None:
    """Measure how fast Andon is on this machine, beside what its core can do and beside peers.

    Every figure is told with its ratio and what it is a ratio to; both sides run in the same run,
    in turn, on one core, by processor seconds. It takes some minutes, and with --peers a first time
    some more, since each of them gets an environment of its own (about 2 GB in all). The ids of
    peers are left out where nobody asked for them. Exit code 1 where a figure could not be
    measured; one that was and is not as good as it should be is told, and is no failure.

    Examples: `andon bench speed --html speed.html`, `andon bench speed --peers --json figures.json`
    """
    _check_needed(file, f"{file} is where --json writes: add --json", wants=as_json)
    needs = "--peers-directory is where --peers installs them: add --peers"
    _check_needed(peers_directory, needs, wants=peers)
    if again is not None:
        _check_idle({"--peers": peers, "--quick": quick, "--parts": parts})
    _check_writable(docs, html, file)  # before minutes of measuring
    if again is None:
        told = _measured(
            parts, quick=quick, peers=_environments(peers_directory) if peers else None
        )
    else:
        told = _kept(again)
    _write(told, docs, html)
    if as_json:
        _tell_json(told, file)
    if not as_json or file is not None:
        _show(told)
        for written in (docs, html, file if as_json else None):
            if written is not None:
                typer.echo(f"Written: {written}")
    raise typer.Exit(int(bool(told.not_measured)))


def _check_needed(path: Path | None, said: str, *, wants: bool) -> None:
    """Raise BadParameter for a path that nobody would use."""
    if path is not None and not wants:
        raise typer.BadParameter(said)


def _check_idle(measuring: dict[str, object]) -> None:
    """Raise BadParameter where what a run is measured with is given, and none is."""
    if idle := [name for name, given in measuring.items() if given]:
        raise typer.BadParameter(
            f"--again measures nothing, so that {', '.join(idle)} would change nothing: leave out"
            " one or the other"
        )


def _check_writable(*paths: Path | None) -> None:
    """Raises BadParameter where one cannot be written, as in a folder that is not there."""
    for path in paths:
        if path is None:
            continue
        try:
            with path.open("ab"):
                pass
        except OSError as error:
            raise typer.BadParameter(
                f"{path} cannot be written: {error.strerror}; name another file, in a folder"
                " that is there"
            ) from error


def _kept(path: Path) -> Run:
    """A run of before. Raises BadParameter for a file that holds none."""
    import msgspec

    from benchmarks.speed.kept import kept

    try:
        return kept(path)
    except (OSError, msgspec.MsgspecError) as error:
        raise typer.BadParameter(
            f"--again: {path}: {error}; expected a run as --docs writes it beside its page"
            " (the list of --json does not tell on what machine it was measured)"
        ) from error


def _end(*_: object) -> None:
    """Told to end: parts that run, and what they have started, end first."""
    raise SystemExit(128 + signal.SIGTERM)


def _environments(given: Path | None) -> Path:
    """The directory, made. Raises BadParameter where nothing can be written there."""
    import tempfile

    from benchmarks.speed.peers.environments import default_directory

    directory = given or default_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"--peers-directory: nothing can be written in {directory}: {error.strerror}; name"
            " another one"
        ) from error
    return directory


def _measured(parts: str, *, quick: bool, peers: Path | None) -> Run:
    """Run the parts, and where there is a directory for their environments, peers."""
    from benchmarks.speed.parts import parts_of
    from benchmarks.speed.run import run

    try:
        wanted = parts_of(parts)
    except ValueError as error:
        raise typer.BadParameter(f"--parts: {error}") from error
    signal.signal(signal.SIGTERM, _end)
    with _progress() as progress:
        if peers is None:
            return run(quick=quick, parts=wanted, progress=progress)
        from benchmarks.speed.peers.beside import measure

        def beside(told: Run, say: Callable[[str], object]) -> None:
            measure(told, directory=peers, say=say)

        return run(quick=quick, parts=wanted, peers=beside, progress=progress)


def _progress() -> AbstractContextManager[Callable[[str, int, int], object]]:
    """A bar on a terminal; elsewhere a line on stderr for each part, or nothing would be said."""
    from contextlib import nullcontext

    from rich.console import Console

    from andon.evaluation import progress_bar

    def say(what: str, done: int, total: int) -> None:
        typer.echo(f"part {done + 1} of {total}: {what}", err=True)

    if Console(stderr=True).is_terminal:
        bar: AbstractContextManager[Callable[[str, int, int], object]] = progress_bar()
        return bar
    return nullcontext(say)


def _write(told: Run, docs: Path | None, html: Path | None) -> None:
    """The page with its run beside it, and the report, where they are asked for."""
    from benchmarks.speed.kept import keep

    if docs is not None:
        from andon.speed_page import markdown

        docs.write_text(markdown(told), encoding="utf-8")
        keep(told, docs.with_suffix(".json"))
    if html is not None:
        from andon.speed_report import page

        page(told).write(html)


def _tell_json(told: Run, file: Path | None) -> None:
    import msgspec

    body = msgspec.json.format(msgspec.json.encode(told.rows()), indent=1)
    if file is None:
        typer.echo(body)
    else:
        file.write_bytes(body + b"\n")


def _show(told: Run) -> None:
    """Tables and what was not measured; readable in 80 columns, as where nobody has a terminal."""
    from andon.options import console
    from andon.speed_report import compared, machine, peer_table, short_table, told_of_peers

    out = console()
    out.print(machine(told), highlight=False)
    out.print(short_table(told, wide=out.width >= WIDE))
    if out.width < WIDE:
        for line in compared(told):
            out.print(line, highlight=False)
    if told.peers:
        out.print(peer_table(told))
    if told_of_peers(told):
        out.print(told_of_peers(told))
    for peer in told.peers or ():
        if peer.error:
            out.print(f"not run: {peer.name}: {peer.error}", style="bold red", highlight=False)
    for name, why in told.not_measured.items():
        out.print(f"not measured: {name}: {why}", style="bold red", highlight=False)
