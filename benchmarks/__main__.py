"""`python -m benchmarks` (`make bench`): values a second from the broker to alerts, measured here.

Exit code 1 when anything was lost: a message, a value or an alert. A rate that was not reached is
printed, with its share of the target, and is no failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.gateway_load import Report, measure
from benchmarks.plant import Load
from edge.errors import AndonError

RATE_TARGET = 50_000


def main() -> int:
    """Measure and print; returns the exit code."""
    options = _options()
    console = Console()
    load = _load(options)
    try:
        with tempfile.TemporaryDirectory(prefix="andon-bench-") as scratch:
            folder = Path(scratch)
            with console.status("") as status:
                report = measure(load, folder, say=status.update)
    except AndonError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    _show(load, report, console)
    if options.json is not None:
        body = {"load": msgspec.to_builtins(load), **msgspec.to_builtins(report)}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n")
    if options.durability:
        console.print("\nJournal and checkpoints alone (no broker):", highlight=False)
        subprocess.run([sys.executable, "-m", "benchmarks.durability"], check=False)
    if options.hot_loop:
        console.print("\nHot loop alone (no broker):", highlight=False)
        subprocess.run([sys.executable, "-m", "benchmarks.speed.hot_loop"], check=False)
    return 1 if report.lost else 0


def _options() -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Sensor values a second through a real broker into alerts, on this machine.",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to send (30)")
    parser.add_argument("--rate", type=float, default=RATE_TARGET, help="values a second (50000)")
    parser.add_argument("--assets", type=int, default=100, help="assets (100)")
    parser.add_argument("--channels", type=int, default=8, help="channels of each (8)")
    parser.add_argument(
        "--batch", type=int, default=10, help="rows in a message: 1 wide, more in columns (10)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--no-durability",
        dest="durability",
        action="store_false",
        help="leave out what journal and checkpoints cost",
    )
    parser.add_argument(
        "--no-hot-loop", dest="hot_loop", action="store_false", help="leave out the hot loop"
    )
    return parser.parse_args()


def _load(options: Any) -> Load:  # noqa: ANN401 - argparse's namespace
    """Whole milliseconds between rows; the rate is what they give, at least the one asked for."""
    period_ms = max(1, int(1000 * options.assets * options.channels / options.rate))
    rows = int(options.seconds * 1000 / period_ms)
    return Load(
        assets=options.assets,
        channels=options.channels,
        period_ms=period_ms,
        rows=max(options.batch, rows - rows % options.batch),
        batch_rows=options.batch,
    )


def _show(load: Load, report: Report, console: Console) -> None:
    shape = "wide" if load.batch_rows == 1 else f"columns of {load.batch_rows} rows"
    table = Table(
        title=f"{load.assets} assets x {load.channels} channels, {shape}, QoS 1, "
        f"{report.broker}, {report.seconds:.1f} s",
        show_header=False,
    )
    ratio = report.values_per_s / report.values_per_s_target
    table.add_row(
        "values/s reached", f"{report.values_per_s:,.0f} ({ratio:.2f} of the load's target)"
    )
    table.add_row("", f"{report.values_per_s / RATE_TARGET:.2f} x {RATE_TARGET:,} values/s")
    table.add_row("values sent", f"{report.values_sent:,}")
    missing = report.messages_sent - report.messages_received
    table.add_row(
        "messages", f"{report.messages_sent:,} sent, {report.messages_received:,} received"
    )
    what = ", ".join(f"{name} {n:,}" for name, n in report.dropped.items()) or "nothing"
    table.add_row("dropped, all reasons", what if not missing else f"{what}; {missing:,} missing")
    table.add_row(
        "events",
        f"{report.steps} injected, {report.alerts} alerts, {report.alerts_missing} missing",
    )
    table.add_row("alerts beside them", str(report.alerts_beside_steps))
    table.add_row(
        "publish to alert, ms",
        f"p50 {_ms(report.publish_to_alert_ms_p50)}, p99 {_ms(report.publish_to_alert_ms_p99)}, "
        f"max {_ms(report.publish_to_alert_ms_max)}",
    )
    table.add_row("gateway CPU", f"{report.cpu_share:.2f} of one core")
    table.add_row("publisher CPU", f"{report.publisher_cpu_share:.2f} of one core")
    table.add_row("gateway memory", f"{report.rss_mb_max:.0f} MB")
    table.add_row("longest tick", f"{report.tick_ms_max:.0f} ms")
    table.add_row("deepest queue seen", f"{report.queue_depth_max:,} messages")
    table.add_row("fitting before", f"{report.fit_s:.1f} s")
    console.print(table)
    verdict = f"LOST: {report.lost}" if report.lost else "Nothing lost."
    console.print(verdict, style="bold red" if report.lost else "green")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(main())
