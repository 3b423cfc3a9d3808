"""The command `andon bench`: public benchmarks, each by its own metric."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.bench.results import Result


class Benchmark(StrEnum):
    """The benchmarks that there are, by the keys of models.bench.run.BENCHMARKS."""

    skab = "skab"
    nab = "nab"
    tep = "tep"
    cnc = "cnc"


def _finite(threshold: float | None) -> float | None:
    if threshold is not None and not math.isfinite(threshold):
        raise typer.BadParameter(f"{threshold} is no score; for example 4.0")
    return threshold


def bench(
    benchmark: Annotated[
        Benchmark,
        typer.Argument(
            help="skab: pump and valves; nab: single streams; tep: chemical plant; cnc: tool wear."
        ),
    ],
    directory: Annotated[
        Path,
        typer.Argument(help="Folder of the benchmark's shape.", exists=True, file_okay=False),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Only JSON on stdout.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Score that flags a row, in all files; else the fit's, for nab by NAB's rule.",
            callback=_finite,
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with a plot a file.")] = None,
    processes: Annotated[int, typer.Option(help="At a time; 0: one a core.", min=0)] = 0,
) -> None:
    """Score the detector on a public benchmark, by the benchmark's own metric.

    The folders are not shipped: docs/benchmarks.md says where they come from, what each protocol
    is, and what its figures do not say.

    Examples: `andon bench skab data/skab`, `andon bench nab data/nab --json --threshold 12.5`
    """
    from andon.evaluation import progress_bar
    from models.bench.run import run_benchmark

    with progress_bar() as told:
        outcome = run_benchmark(
            benchmark.value, directory, threshold=threshold, processes=processes, progress=told
        )
    if html is not None:
        from andon.bench_report import page

        page(benchmark.value, directory.name, outcome).write(html)
    for line in _troubles(outcome.result):
        sys.stderr.write(f"andon: {line}\n")
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(outcome.result), indent=1))
        return
    _show(outcome.result)
    if html is not None:
        typer.echo(f"Report: {html}")


def _troubles(result: Result) -> list[str]:
    """What was left out, and what could not be judged and so counts as silence."""
    from andon.bench_report import errors_of

    return [*result.notes, *errors_of(result)]


def _show(result: Result) -> None:
    from rich.table import Table

    from andon.bench_report import file_table, summary
    from andon.options import console
    from andon.report import shown

    out = console()
    columns, rows = file_table(result)
    files = Table()
    for k, name in enumerate(columns):  # names give way to figures where it is narrow
        files.add_column(name, no_wrap=k > 0, overflow="fold", justify="right" if k else "left")
    for row in rows:
        files.add_row(*map(shown, row))
    out.print(files)
    figures = Table("", "", show_header=False)
    for name, value in summary(result):
        figures.add_row(name, shown(value))
    out.print(figures)
