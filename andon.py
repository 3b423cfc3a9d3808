"""The command `andon`: options in, packages composed, tables out. Nothing is decided here.

Every command imports what it needs when it runs, so that `andon --help` answers at once.
"""

from __future__ import annotations

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
    help=(
        "Streaming anomaly detection for a plant gateway, with maintenance knowledge that says "
        "what was expected and why.\n\nStart with `andon demo`."
    ),
    pretty_exceptions_enable=False,
)
kb_app = typer.Typer(no_args_is_help=True, help="Maintenance knowledge: build, search, show.")
app.add_typer(kb_app, name="kb")

Recording = Annotated[
    Path, typer.Argument(help="A table (CSV, Parquet) or a journal.", exists=True)
]
Host = Annotated[str, typer.Option(help="Broker host.")]
Port = Annotated[int, typer.Option(help="Broker port.")]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        help="Mapping of a table's columns; without it the shipped one that fits.", exists=True
    ),
]
Hours = Annotated[
    float, typer.Option(help="Plant time; 24 is a day, below 3 little happens.", min=0.05)
]
Robots = Annotated[int, typer.Option(help="Robots in the weld cell.", min=1)]
Rows = Annotated[str, typer.Option(help="Half-open range of table rows, such as 0:400 or 400:.")]


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Any number; no seed is special.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    hours: Hours = 8.0,
    robots: Robots = 4,
    seconds: Annotated[
        float, typer.Option(help="How long the replay should take.", min=1.0)
    ] = 60.0,
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
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Directory to write; one that has a recording is kept."),
    ],
    seed: Annotated[int, typer.Option(help="Any number; the same one gives the same cell.")] = 1,
    robots: Robots = 4,
    hours: Hours = 8.0,
) -> None:
    """Write a weld cell scenario: recording, training stretch, texts, truth, gateway.toml.

    Example: `andon simulate -o cell --seed 3 --hours 24`
    """
    from simulator.cells import weld

    console = _console()
    weld.simulate(seed=seed, robots=robots, hours=hours).write(out)
    console.print(f"Wrote {out}: recording/, training/, kb/, truth.json, gateway.toml")


@app.command()
def replay(
    path: Recording,
    host: Host = "127.0.0.1",
    port: Port = 1883,
    mapping: MappingFile = None,
    speed: Annotated[
        float, typer.Option(help="Plant seconds a second; `inf` is as fast as possible.")
    ] = 1.0,
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
    console.print(
        f"{recording.name}: {played.messages} messages, {played.payload_bytes} B in "
        f"{played.elapsed_s:.1f} s{', interrupted' if played.interrupted else ''}"
    )


@app.command()
def record(
    out: Annotated[Path, typer.Argument(help="Journal directory to write.")],
    host: Host = "127.0.0.1",
    port: Port = 1883,
    topics: Annotated[list[str], typer.Option("--topic", help="Topic filter; may repeat.")] = ["#"],  # noqa: B006
    prefix: Annotated[
        str, typer.Option(help="Andon's own outputs under it are left out.")
    ] = "andon",
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
    into: Annotated[
        Path | None, typer.Option(help="Parent bundle: the result has its assets too.", exists=True)
    ] = None,
    rows: Rows = "",
    alerts_per_day: Annotated[
        float,
        typer.Option(help="Alert budget of an operator position; 0: the parent's, or the default."),
    ] = 0.0,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="gateway.toml with tags and context (journals).", exists=True),
    ] = None,
) -> None:
    """Make a detector bundle from a recording of normal operation: seconds, on the gateway.

    Examples: `andon fit normal.csv -o bundles/line3 --rows 0:400`,
    `andon fit press.csv -o bundles/two --into bundles/line3`
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
    bundle: Annotated[Path, typer.Option(help="Bundle directory.", exists=True)],
    kb: Annotated[Path | None, typer.Option(help="Knowledge snapshot.", exists=True)] = None,
    jobs: Annotated[Path | None, typer.Option(help="Jobs, one JSON a line.", exists=True)] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.json; else the mapping's label columns.", exists=True)
    ] = None,
    rows: Rows = "",
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="gateway.toml; else the one beside the recording.", exists=True),
    ] = None,
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
    from edge.config import load

    raise typer.Exit(run_gateway(load(config), log_level=log_level, log_json=log_json))


@app.command()
def check(config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)]) -> None:
    """Check configuration, broker, bundle and snapshot; list what will be published.

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

    build_command(source, out, console=_console())


@kb_app.command("search")
def kb_search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    snapshot: Annotated[Path, typer.Option(help="Snapshot directory.", exists=True)] = Path(
        "kb/current"
    ),
    asset: Annotated[str, typer.Option(help="Exact asset id; without it all documents.")] = "",
    at: Annotated[str, typer.Option(help="What was known at this time (ISO 8601 with zone).")] = "",
    limit: Annotated[int, typer.Option(help="Passages to show.")] = 5,
) -> None:
    """Search a snapshot.

    Example: `andon kb search "wire feed slips" --snapshot kb/current --asset r1`
    """
    from kb.commands import search_command

    search_command(text, snapshot=snapshot, asset=asset, at=at, limit=limit, console=_console())


@kb_app.command("show")
def kb_show(
    chunk_id: Annotated[str, typer.Argument(help="Id of a chunk, document or proposal.")],
    snapshot: Annotated[Path, typer.Option(help="Snapshot directory.", exists=True)] = Path(
        "kb/current"
    ),
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

    Exit code 2.
    """
    from edge.errors import AndonError
    from kb.errors import KnowledgeError
    from models.errors import ModelError

    try:
        app()
    except (AndonError, KnowledgeError, ModelError) as error:
        sys.stderr.write(f"andon: {error}\n")
        sys.exit(2)
    except OSError as error:  # a file of an option that cannot be read or written
        if error.filename is None:
            raise
        sys.stderr.write(f"andon: {error.filename}: {error.strerror}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
