"""The commands `andon bench skab|nab|tep|cnc`: public benchmarks, each by its own metric."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.bench.results import Result

MORE = """

    The folders are not shipped: docs/benchmarks.md says where they come from, what each protocol
    is, and what its figures do not say.

    Example: `andon bench {name} data/{name} --html report.html`
    """


def _finite(threshold: float | None) -> float | None:
    if threshold is not None and not math.isfinite(threshold):
        raise typer.BadParameter(f"{threshold} is no score; for example 4.0")
    return threshold


def _scores(name: str, says: str) -> Callable[..., None]:
    """A command that scores one benchmark, by the keys of models.bench.run.BENCHMARKS."""

    def command(
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
        html: Annotated[
            Path | None, typer.Option(help="Write a report with a plot a file.")
        ] = None,
        processes: Annotated[int, typer.Option(help="At a time; 0: one a core.", min=0)] = 0,
    ) -> None:
        from andon.evaluation import progress_bar
        from models.bench.run import run_benchmark

        with progress_bar() as told:
            outcome = run_benchmark(
                name, directory, threshold=threshold, processes=processes, progress=told
            )
        if html is not None:
            from andon.bench_report import page

            page(name, directory.name, outcome).write(html)
        for line in _troubles(outcome.result):
            sys.stderr.write(f"andon: {line}\n")
        if as_json:
            import msgspec

            typer.echo(msgspec.json.format(msgspec.json.encode(outcome.result), indent=1))
            return
        _show(outcome.result)
        if html is not None:
            typer.echo(f"Report: {html}")

    command.__doc__ = says + MORE.format(name=name)
    return command


skab = _scores("skab", "Score the detector on SKAB: a pump and its valves.")
nab = _scores("nab", "Score the detector on NAB: single streams.")
tep = _scores("tep", "Score the detector on the Tennessee Eastman process: a chemical plant.")
cnc = _scores("cnc", "Score the detector on tool wear of a CNC mill.")


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
