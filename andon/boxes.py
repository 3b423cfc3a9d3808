"""Commands about one gateway after another: backup, restore, fence, retire."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.boxes.replacement import Restored

Config = Annotated[Path, typer.Argument(help="gateway.toml", exists=True)]
ConfigOption = Annotated[Path, typer.Option("--config", help="gateway.toml", exists=True)]
By = Annotated[str, typer.Option(help="Who says so; else the user of this machine.")]


@contextmanager
def _progress(what: str) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """A line that counts bytes, on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn())
    out = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=out, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield (
            lambda count: progress.advance(task, count),
            lambda said: progress.update(task, description=f"{what}: {said}"),
        )


def backup(
    config: Config,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, a zip.")],
    secrets: Annotated[
        bool, typer.Option("--secrets", help="With password files and private keys.")
    ] = False,
    journal_days: Annotated[
        float | None,
        typer.Option(
            help="Of the journal only so many days, besides what a restart needs. Alerts from"
            " before cannot be explained, fitted on, labelled or replayed any more.",
            min=0.0,
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A further file or folder, as labels elsewhere; may repeat."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="FILE may be there already.")] = False,
) -> None:
    """Copy a whole gateway into one file, also while it runs: what a replacement box needs.

    Configuration and tables, trust, bundles, snapshots and their documents, state, audit, books.
    Passwords and private keys only with --secrets.

    Examples: `andon backup gateway.toml -o /media/usb/line3.zip`,
    `andon backup gateway.toml -o line3.zip --journal-days 7`
    """
    from edge.boxes.backup import Request, back_up

    request = Request(
        config=config,
        out=out,
        secrets=secrets,
        journal_days=journal_days,
        also=tuple(also or ()),
        replace=replace,
    )
    with _progress("backup") as (on_bytes, tell):
        manifest, sha256 = back_up(request, tell=tell, on_bytes=on_bytes)
    packed, plain = out.stat().st_size, sum(one.size_bytes for one in manifest.files.values())
    typer.echo(f"{out}: {len(manifest.files)} files, {plain / 1e6:.1f} MB in {packed / 1e6:.1f} MB")
    typer.echo(
        f"site {manifest.site}, box {manifest.box.box}, generation {manifest.box.generation}"
    )
    for one in (*manifest.left_out, *manifest.missed):
        typer.echo(f"not in it: {one.name}: {one.what}")
    for name in manifest.environment:
        typer.echo(f"{name} counts here; its value is in the configuration of the backup")
    typer.echo(f"hash {sha256}; note it elsewhere, `andon restore --expect HASH` compares it")
    typer.echo(f"next: andon restore {out} --check")
    raise typer.Exit(1 if manifest.missed else 0)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.", exists=True, dir_okay=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="New or empty directory for the gateway.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check every hash, write nothing.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move aside what is in the directory.")
    ] = False,
    generation: Annotated[
        int, typer.Option(help="Of the new box; else one more than in the backup.", min=0)
    ] = 0,
    expect: Annotated[str, typer.Option(help="The hash that `andon backup` printed.")] = "",
    gigabytes_max: Annotated[
        float, typer.Option(help="Refuse what would unpack to more.", min=0.001)
    ] = 64.0,
) -> None:
    """Make a gateway of a backup: checked, in a directory of its own, as another box than the old.

    What it prints last is what to do next. Exit code 1 where something is not fine.

    Examples: `andon restore line3.zip -o /srv/andon`, `andon restore line3.zip --check`
    """
    from edge.boxes.replacement import Request, examine, restore_box

    bytes_max = int(gigabytes_max * (1 << 30))
    if check or out is None:
        if not check:
            raise typer.BadParameter("name a directory with -o, or only --check the file")
        with _progress("checking") as (on_bytes, _):
            manifest, sha256 = examine(file, bytes_max=bytes_max, on_bytes=on_bytes)
        typer.echo(f"{file}: {len(manifest.files)} files, each as it was written; hash {sha256}")
        return
    request = Request(
        file=file,
        out=out,
        replace=replace,
        generation=generation,
        expect=expect,
        bytes_max=bytes_max,
    )
    with _progress("restore") as (on_bytes, _):
        restored = restore_box(request, on_bytes=on_bytes)
    _show(restored)
    raise typer.Exit(1 if restored.bad else 0)


def _show(restored: Restored) -> None:
    from rich.markup import escape
    from rich.table import Table

    grid = Table(show_header=False, box=None)
    for what, fine, detail in restored.findings:
        grid.add_row("[green]ok[/]" if fine else "[red]FAULT[/]", what, escape(detail))
    console().print(grid)
    box, config, manifest = restored.box, restored.config, restored.manifest
    if restored.aside is not None:
        typer.echo(f"what was there is at {restored.aside}")
    typer.echo(f"This is box {box.box}, generation {box.generation}. Next:")
    for one in manifest.left_out:
        typer.echo(f"  not in the backup: {config.parent / one.name}: {one.what}")
    if manifest.environment:
        names = ", ".join(manifest.environment)
        typer.echo(f"  {names}: now in {config.name}; unset them here, or they count instead")
    typer.echo(
        "  let only this gateway and operators write to the broker, as before: the same user"
    )
    typer.echo(f"  andon check {config}")
    typer.echo(f"  andon run {config}")
    typer.echo("  The old box may be on or off: when it connects, it says `fenced` and exits 77.")


def fence(
    config: Config,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="This box shall speak from its next start on.")
    ] = False,
    because: Annotated[str, typer.Option(help="Why it shall.")] = "",
) -> None:
    """Show which box this is and whether another has taken over; or let this one speak again.

    Exit code 1 where another has.

    Examples: `andon fence gateway.toml`,
    `andon fence gateway.toml --take-over --because "the replacement went back to the store"`
    """
    from edge.boxes.identity import box_of, fenced_words
    from edge.boxes.reclaim import reclaim
    from edge.configuration.config import load

    settings = load(config)
    state = settings.path(settings.journal.dir)
    if take_over:
        if not because.strip():
            raise typer.BadParameter("say why with --because; it stands in the log")
        box = reclaim(state, because=because)
        typer.echo(f"box {box.box} is of generation {box.generation} from its next start on")
        return
    box = box_of(state)
    typer.echo(f"box {box.box}, generation {box.generation}")
    fenced = fenced_words(box, file=str(config))
    typer.echo(fenced or "no other box has taken over, as far as it knows")
    raise typer.Exit(1 if fenced else 0)


def retire(
    asset: Annotated[str, typer.Argument(help="Id of the asset that is gone.")],
    config: ConfigOption,
    by: By = "",
    because: Annotated[str, typer.Option(help="Why; it stands in the audit trail.")] = "",
    leave: Annotated[
        bool,
        typer.Option("--leave", help="Leave the last state, NORMAL, retained; do not clear it."),
    ] = False,
    although: Annotated[
        bool,
        typer.Option("--although-configured", help="Also where it is still configured or scored."),
    ] = False,
    unknown: Annotated[
        bool,
        typer.Option("--although-unknown", help="Also where nothing was ever known of it here."),
    ] = False,
) -> None:
    """End what is retained of an asset that is gone, and clear its topics at the broker.

    A running gateway does so within seconds, else the next one that starts. First take the asset
    out of gateway.toml, its tables and the bundle; only after this make the broker's access lists
    again, or they deny the gateway what clears the topics. Unbind dashboards before: some choke on
    the empty payload that clears a topic.

    Example: `andon retire press7 --config gateway.toml --because "scrapped in March"`
    """
    from edge.boxes.retirement import known_as, never_known, newest_row, retire
    from edge.configuration.config import load
    from edge.errors import ConfigError

    settings = load(config)
    known = known_as(settings, asset)
    if known and not although:
        raise ConfigError(
            f"{asset} is still {known}; take it out first, or add --although-configured: then what"
            " it says from now on stands there again"
        )
    if not (known or unknown) and (why := never_known(settings, asset)):
        raise ConfigError(f"{why}; for one that another box knew add --although-unknown")
    row = newest_row(settings.path(settings.journal.dir))
    word = retire(settings, asset, by=by, because=because, until_row=row, clear=not leave)
    typer.echo(f"{asset} is retired by {word.by}; the gateway says so within seconds of its run")
    typer.echo(
        "The broker's access list must let the gateway write there until then: one that was made"
        f" since {asset} left the configuration does not. Make it again now (andon broker), which"
        " keeps the topics of retired assets; where the broker had such a list, retire once more"
    )
