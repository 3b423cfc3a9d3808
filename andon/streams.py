"""Commands about streams: the demo, simulation, replay, recordings, the gateway itself."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from andon.options import (
    Broker,
    Hours,
    MappingFile,
    Recording,
    Robots,
    Rows,
    connects,
    console,
)

SHAPES = "single, wide, columnar, block or sparkplug (tables)."
NEXT = """\
Wrote {out}: recording/, training/, kb/, truth.json, gateway.toml. Next:
  andon fit {out}/training -o {out}/bundle --config {out}/gateway.toml
  andon kb build {out}/kb -o {out}/snapshot
  andon backtest {out}/recording --bundle {out}/bundle --kb {out}/snapshot --truth {out}/truth.json
  andon check {out}/gateway.toml"""


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
    raise typer.Exit(run_demo(options, console=console()))


def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", help="New directory to write.")],
    seed: Annotated[int, typer.Option(help="Any number; the same one gives the same cell.")] = 1,
    robots: Robots = 4,
    hours: Hours = 8.0,
    cell: Annotated[str, typer.Option(help="weld, cnc, pump or gearbox.")] = "weld",
    messy: Annotated[
        bool, typer.Option("--messy", help="Papers as plants have them; few jobs are witnessed.")
    ] = False,
    waves: Annotated[
        bool, typer.Option("--waves", help="Blocks of vibration, not features (gearbox).")
    ] = False,
) -> None:
    """Write a scenario of a simulated cell: recording, training, texts, truth, gateway.toml.

    Examples: `andon simulate -o cell --seed 3 --hours 24`, `andon simulate -o mills --cell cnc`
    """
    from simulator.cells import CELLS

    if cell not in CELLS:
        raise typer.BadParameter(f"there is no cell {cell!r}; there are {', '.join(CELLS)}")
    CELLS[cell](seed=seed, assets=robots, hours=hours, messy=messy, waves=waves).write(out)
    typer.echo(NEXT.format(out=shlex.quote(str(out))))


@connects
def replay(
    path: Recording,
    mapping: MappingFile = None,
    speed: Annotated[float, typer.Option(help="Plant seconds a second; inf: at once.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, times moved on.")] = False,
    rows: Rows = "",
    batch: Annotated[int, typer.Option(help="Rows in a message (tables).")] = 0,
    shape: Annotated[str, typer.Option(help=SHAPES)] = "",
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    topic: Annotated[str, typer.Option(help="Topic (tables).")] = "plant/{asset}",
    now: Annotated[bool, typer.Option("--now", help="Begin now, not at the table's time.")] = False,
    *,
    broker: Broker,
) -> None:
    """Publish a recording over MQTT (QoS 1).

    Examples: `andon replay line3.csv --speed 10`, `andon replay recording/ --speed inf`,
    `andon replay line3.csv --shape sparkplug --topic 'spBv1.0/plant/+/gateway/{asset}'`
    """
    from edge.brokers.mqtt import Publisher
    from edge.recordings.mapping import load_mapping
    from edge.recordings.recording import parse_rows
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
    endpoint, out = broker.endpoint(), console()
    recording, played = replay_recording(
        path, options, connect=lambda: Publisher(endpoint), console=out
    )
    took = f"{played.payload_bytes} B in {played.elapsed_s:.1f} s"
    out.print(f"{recording.name}: {played.messages} messages, {took}")
    raise typer.Exit(130 if played.interrupted and not loop else 0)


@connects
def record(
    out: Annotated[Path, typer.Argument(help="Journal directory to write.")],
    topics: Annotated[list[str], typer.Option("--topic", help="Topic filter; may repeat.")] = ["#"],  # noqa: B006
    prefix: Annotated[str, typer.Option(help="Andon's outputs below it stay out.")] = "andon",
    seconds: Annotated[float, typer.Option(help="Stop after this long; 0: until Ctrl-C.")] = 0.0,
    messages: Annotated[int, typer.Option(help="Stop after this many; 0: no limit.")] = 0,
    *,
    broker: Broker,
) -> None:
    """Keep what crosses MQTT as a journal that `andon replay` plays back byte for byte.

    Examples: `andon record shift1 --topic 'plant/#' --seconds 3600`,
    `andon record shift1 --host broker.plant --port 8883 --tls-ca-file ca.crt`
    """
    from edge.recordings.recorder import record as record_messages

    code = record_messages(
        out,
        broker.endpoint(),
        filters=tuple(topics),
        prefix=prefix,
        seconds=seconds,
        messages_max=messages,
        console=console(),
    )
    raise typer.Exit(code)


def run(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Example: `andon run gateway.toml`
    """
    from andon.running import run_gateway

    raise typer.Exit(run_gateway(config, log_level=log_level, log_json=log_json))


def check(config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)]) -> None:
    """Check configuration, broker, bundle and snapshot: what counts, what is published, what to do.

    Example: `andon check gateway.toml`
    """
    from edge.checks.check import check_file

    raise typer.Exit(check_file(config, console=console()))
