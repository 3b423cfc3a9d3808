"""The command `andon`: options in, packages composed, tables out. Nothing is decided here.

Every command imports what it needs when it runs, so that `andon --help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="andon",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
kb_app = typer.Typer(no_args_is_help=True, help="Maintenance knowledge: build, search, show.")
app.add_typer(kb_app, name="kb")

NEXT = """\
Wrote {out}: recording/, training/, kb/, truth.json, gateway.toml. Next:
  andon fit {out}/training -o {out}/bundle --config {out}/gateway.toml
  andon kb build {out}/kb -o {out}/snapshot
  andon backtest {out}/recording --bundle {out}/bundle --kb {out}/snapshot --truth {out}/truth.json
  andon check {out}/gateway.toml"""


@app.callback(invoke_without_command=True)
def _front_door(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Streaming anomaly detection that knows what maintenance expected. Begin with `andon demo`."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"andon {version_of('andon')}")
        raise typer.Exit


def _ordered_rows(rows: str) -> str:
    """Refuse a range of rows that ends before it begins; what is no range is refused later."""
    first, _, end = rows.strip().partition(":")
    if first.isdecimal() and end.isdecimal() and int(end) <= int(first):
        said = "is before" if int(end) < int(first) else "is"
        raise typer.BadParameter(f"the end, {end}, {said} the start, {first}: no row is left")
    return rows


Recording = Annotated[
    Path, typer.Argument(help="A table (CSV, Parquet) or a journal.", exists=True)
]
Snapshots = Annotated[Path, typer.Option(help="Snapshot directory.", exists=True)]
Host = Annotated[str, typer.Option(help="Broker host.")]
Port = Annotated[int, typer.Option(help="Broker port.")]
MappingFile = Annotated[
    Path | None,
    typer.Option(help="Mapping of a table's columns; else the shipped one that fits.", exists=True),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        help="gateway.toml with tags and context; else one beside a journal.", exists=True
    ),
]
Hours = Annotated[
    float, typer.Option(help="Plant time; 24 is a day, below 3 little happens.", min=0.05)
]
Robots = Annotated[int, typer.Option(help="Robots in the weld cell.", min=1)]
Rows = Annotated[
    str, typer.Option(help="Half-open range of table rows: 0:400, 400:.", callback=_ordered_rows)
]


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Any number; no seed is special.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    hours: Hours = 8.0,
    robots: Robots = 4,
    seconds: Annotated[float, typer.Option(help="Length of the replay.", min=1.0)] = 60.0,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this directory.")] = None,
    browser: Annotated[
        bool, typer.Option(help="Accepted for scripts; this demo stays in the terminal.")
    ] = False,
) -> None:
    """One shift of a simulated weld cell: broker, gateway and a live table of alerts.

    Example: `andon demo --seed 7 --report demo.json`
    """
    from simulator.demo import DemoOptions, run_demo

    del browser
    options = DemoOptions(
        seed=seed, report=report, hours=hours, robots=robots, seconds=seconds, keep=keep
    )
    raise typer.Exit(run_demo(options, console=_console()))


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", help="New directory to write.")],
    seed: Annotated[int, typer.Option(help="Any number; the same one gives the same cell.")] = 1,
    robots: Robots = 4,
    hours: Hours = 8.0,
) -> None:
    """Write a weld cell scenario: recording, training stretch, texts, truth, gateway.toml.

    Example: `andon simulate -o cell --seed 3 --hours 24`
    """
    from simulator.cells import weld

    weld.simulate(seed=seed, robots=robots, hours=hours).write(out)
    typer.echo(NEXT.format(out=shlex.quote(str(out))))


@app.command()
def replay(
    path: Recording,
    host: Host = "127.0.0.1",
    port: Port = 1883,
    mapping: MappingFile = None,
    speed: Annotated[float, typer.Option(help="Plant seconds a second; inf: at once.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, times moved on.")] = False,
    rows: Rows = "",
    batch: Annotated[int, typer.Option(help="Rows in a message (tables).")] = 0,
    shape: Annotated[str, typer.Option(help="single, wide or columnar (tables).")] = "",
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    topic: Annotated[str, typer.Option(help="Topic (tables).")] = "plant/{asset}",
    now: Annotated[bool, typer.Option("--now", help="Begin now, not at the table's time.")] = False,
    username: Annotated[str, typer.Option(help="Broker user.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="File with its password.")] = None,
) -> None:
    """Publish a recording over MQTT (QoS 1).

    Examples: `andon replay line3.csv --speed 10`, `andon replay recording/ --speed inf`
    """
    from edge.config import read_secret
    from edge.mapping import load_mapping
    from edge.mqtt import Endpoint, Publisher
    from edge.recording import parse_rows
    from simulator.replay import ReplayOptions
    from simulator.replay import replay as replay_recording

    options = ReplayOptions(
        speed=speed,
        loop=loop,
        mapping=load_mapping(mapping) if mapping else None,
        rows=parse_rows(rows) if rows else None,
        asset=asset,
        batch_rows=batch or None,
        shape=shape or None,
        topic=topic,
        now=now,
    )
    secret = read_secret(password_file) if password_file else None
    endpoint = Endpoint(host=host, port=port, username=username, password=secret)
    console = _console()
    recording, played = replay_recording(
        path, options, connect=lambda: Publisher(endpoint), console=console
    )
    took = f"{played.payload_bytes} B in {played.elapsed_s:.1f} s"
    console.print(f"{recording.name}: {played.messages} messages, {took}")
    raise typer.Exit(130 if played.interrupted and not loop else 0)


@app.command()
def record(
    out: Annotated[Path, typer.Argument(help="Journal directory to write.")],
    host: Host = "127.0.0.1",
    port: Port = 1883,
    topics: Annotated[list[str], typer.Option("--topic", help="Topic filter; may repeat.")] = ["#"],  # noqa: B006
    prefix: Annotated[str, typer.Option(help="Andon's outputs below it stay out.")] = "andon",
    seconds: Annotated[float, typer.Option(help="Stop after this long; 0: until Ctrl-C.")] = 0.0,
    messages: Annotated[int, typer.Option(help="Stop after this many; 0: no limit.")] = 0,
    username: Annotated[str, typer.Option(help="Broker user.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="File with its password.")] = None,
) -> None:
    """Keep what crosses MQTT as a journal that `andon replay` plays back byte for byte.

    Example: `andon record shift1 --topic 'plant/#' --seconds 3600`
    """
    from edge.recorder import record as record_messages

    code = record_messages(
        out,
        host=host,
        port=port,
        filters=tuple(topics),
        prefix=prefix,
        seconds=seconds,
        messages_max=messages,
        console=_console(),
        username=username,
        password_file=password_file,
    )
    raise typer.Exit(code)


@app.command()
def fit(
    recording: Recording,
    out: Annotated[Path, typer.Option("-o", "--out", help="Bundle directory to write.")],
    into: Annotated[Path | None, typer.Option(help="Parent bundle, to add assets to.")] = None,
    rows: Rows = "",
    alerts_per_day: Annotated[
        float, typer.Option(help="Budget of an operator; 0: the parent's, or the default.")
    ] = 0.0,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: ConfigFile = None,
) -> None:
    """Make a detector bundle from a recording of normal operation: seconds, on the gateway.

    Examples: `andon fit shift1 -o bundles/line3 --config gateway.toml`,
    `andon fit press.csv -o bundles/two --into bundles/line3 --rows 0:400`
    """
    from edge.training import FitRequest, fit_recording

    request = FitRequest(
        recording=recording,
        out=out,
        into=into,
        rows=rows,
        alerts_per_day=alerts_per_day or None,
        mapping=mapping,
        asset=asset,
        config=config,
    )
    fit_recording(request, console=_console())


@app.command()
def backtest(
    recording: Recording,
    bundle: Annotated[Path, typer.Option(help="Bundle directory, made by `andon fit`.")],
    kb: Annotated[Path | None, typer.Option(help="Knowledge snapshot.", exists=True)] = None,
    jobs: Annotated[Path | None, typer.Option(help="Jobs, one JSON a line.", exists=True)] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.json; else the mapping's label columns.", exists=True)
    ] = None,
    rows: Rows = "",
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: ConfigFile = None,
) -> None:
    """Run the gateway's engine over a recording without a broker, as fast as it goes.

    Example: `andon backtest cell/recording --bundle bundles/cell --kb cell.kb --truth
    cell/truth.json`
    """
    from edge.backtest_command import BacktestRequest, backtest_command

    request = BacktestRequest(
        recording=recording,
        bundle=bundle,
        kb=kb,
        jobs=jobs,
        truth=truth,
        rows=rows,
        report=report,
        mapping=mapping,
        asset=asset,
        config=config,
    )
    backtest_command(request, console=_console())


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Example: `andon run gateway.toml`
    """
    from edge.app import run as run_gateway
    from edge.config import load, need_bundle

    settings = load(config)
    need_bundle(settings.path(settings.model.bundle))
    raise typer.Exit(run_gateway(settings, log_level=log_level, log_json=log_json))


@app.command()
def check(config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)]) -> None:
    """Check configuration, broker, bundle and snapshot: what counts, what is published, what to do.

    Example: `andon check gateway.toml`
    """
    from edge.check import check_file

    raise typer.Exit(check_file(config, console=_console()))


@kb_app.command("build")
def kb_build(
    source: Annotated[Path, typer.Argument(help="Directory of documents.", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Snapshot to publish.")],
) -> None:
    """Read documents, orders, schedules, logs and scope tables into a snapshot.

    Example: `andon kb build plant-docs -o kb/current`
    """
    from kb.commands import build_command
    from kb.snapshot import read_manifest

    build_command(source, out, console=_console())
    if not read_manifest(out).counts.documents:
        typer.echo(f"warning: no document was read below {source}: there is nothing to find in it")


@kb_app.command("search")
def kb_search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    snapshot: Snapshots = Path("kb/current"),
    asset: Annotated[str, typer.Option(help="Exact asset id; without it all documents.")] = "",
    at: Annotated[str, typer.Option(help="What was known at this time (ISO 8601 with zone).")] = "",
    limit: Annotated[int, typer.Option(help="Passages to show.")] = 5,
) -> None:
    """Search a snapshot.

    Example: `andon kb search "wire feed slips" --snapshot kb/current --asset r1`
    """
    from difflib import get_close_matches

    from kb.commands import search_command
    from kb.snapshot import Snapshot

    search_command(text, snapshot=snapshot, asset=asset, at=at, limit=limit, console=_console())
    if not asset:
        return
    with Snapshot.open(snapshot) as opened:
        named = {one for row in opened.documents() for one in row.assets or ()}
        named |= {proposal.asset for proposal in opened.proposals()}
        named |= {scope.asset for scope in opened.scope_rows()}
    if asset not in named:
        near = get_close_matches(asset, named) or sorted(named)[:10]
        typer.echo(f"No document, order or scope row names asset {asset}; try {', '.join(near)}")


@kb_app.command("show")
def kb_show(
    chunk_id: Annotated[str, typer.Argument(help="Id of a chunk, document or proposal.")],
    snapshot: Snapshots = Path("kb/current"),
) -> None:
    """Show a passage, document or proposal with its source.

    Example: `andon kb show 1184467440737095516 --snapshot kb/current`
    """
    from kb.commands import show_command

    show_command(chunk_id, snapshot=snapshot, console=_console())


def _console() -> Console:
    from rich.console import Console

    return Console()


def main() -> None:
    """Run the command line; errors of the world end with one line that says what to do.

    Exit code 2; 130 after Ctrl-C.
    """
    from edge.errors import AndonError
    from kb.errors import KnowledgeError
    from models.errors import ModelError

    try:
        app()
    except (AndonError, KnowledgeError, ModelError) as error:
        line, code = f"andon: {error}", 2
    except OSError as error:  # a file of an option that cannot be read or written
        if error.filename is None:
            raise
        line, code = f"andon: {error.filename}: {error.strerror}", 2
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes 130 of a Ctrl-C that it sees
        if isinstance(end, SystemExit) and end.code != 130:
            raise
        line, code = "interrupted", 130
    else:
        return
    sys.stderr.write(f"{line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
