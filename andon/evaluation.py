"""Commands that measure: `andon eval suppression`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator


def suppression(
    cells: Annotated[str, typer.Option(help="Simulated cells, with commas.")] = "weld,cnc,pump",
    seeds: Annotated[str, typer.Option(help="Half-open range of seeds.")] = "0:2",
    messy: Annotated[
        bool, typer.Option("--messy", help="Records as real plants have them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Only JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots.")] = None,
    variants: Annotated[
        int, typer.Option(help="Variants of the adversarial suite; 0 leaves it out.", min=0)
    ] = 1023,
    hours: Annotated[float, typer.Option(help="Plant time of each scenario.", min=0.5)] = 8.0,
    delay: Annotated[
        float, typer.Option(help="Seconds until the simulated operator confirms.", min=0.0)
    ] = 120.0,
    wrong_rate: Annotated[
        float, typer.Option(help="Share of idle proposals that he confirms.", min=0.0, max=1.0)
    ] = 0.02,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Also the attacks without each clause of the rule.")
    ] = False,
    processes: Annotated[int, typer.Option(help="At a time; 0: one a core.", min=0)] = 0,
) -> None:
    """What knowledge takes off an operator, and whether it ever hides a fault.

    Runs simulated shifts without knowledge, with typed jobs only, with orders, and with logs and an
    operator who confirms what they propose; then the adversarial suite. Exit code 1 when a fault
    was missed or a suppression was wrong.

    Example: `andon eval suppression --cells weld --seeds 0:4 --html report.html`
    """
    from simulator.cells import CELLS
    from simulator.evaluation import EvaluationRequest, evaluate
    from simulator.operator import Habits

    wanted = tuple(name.strip() for name in cells.split(",") if name.strip())
    unknown = [name for name in wanted if name not in CELLS]
    if unknown or not wanted:
        raise typer.BadParameter(f"no cell {', '.join(unknown)}; there are {', '.join(CELLS)}")
    request = EvaluationRequest(
        cells=wanted,
        seeds=_range(seeds),
        messy=messy,
        hours=hours,
        variants=variants,
        ablation=ablation,
        habits=Habits(delay_s=delay, wrong_rate=wrong_rate),
        processes=processes,
    )
    with progress_bar() as told:
        result = evaluate(request, progress=told)
    if html is not None:
        from andon.suppression_report import page

        page(result).write(html)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        _show(result)
        if html is not None:
            typer.echo(f"Report: {html}")
    bad = result["faults_missed"] or result["suppressions_wrong"] or result["adversarial_wrong"]
    raise typer.Exit(int(bool(bad)))


def _range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        seeds = int(first), int(last) if colon else int(first) + 1
    except ValueError as error:
        raise typer.BadParameter(f"--seeds {text!r} is no range; for example 0:20") from error
    if seeds[1] <= seeds[0]:
        raise typer.BadParameter(f"--seeds {text!r}: no seed is left")
    return seeds


def progress_bar() -> Any:  # noqa: ANN401 - a context manager of a callable
    """A bar on stderr, so that stdout holds nothing but the result."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    @contextmanager
    def bar() -> Iterator[Any]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task("running", total=None)

            def told(what: str, done: int, total: int) -> None:
                shown.update(task, description=what, completed=done, total=total)

            yield told

    return bar()


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table

    from andon.options import console

    out = console()
    table = Table("", "without knowledge", "with", "fewer")
    for name, key in (
        ("false alarms of witnessed jobs", "false_alarms"),
        ("false alarms of all causes", "false_alarms_total"),
    ):
        without, with_ = result[f"{key}_without"], result[f"{key}_with"]
        fewer = f"{1 - with_ / without:.0%}" if without else "-"
        table.add_row(name, str(without), str(with_), fewer)
    out.print(table)
    out.print(
        f"{result['jobs_total']} jobs, {result['faults_total']} faults:"
        f" {result['faults_missed']} missed, {result['faults_undetected']} undetected;"
        f" {result['suppressions']} suppressions, {result['suppressions_wrong']} wrong"
    )
    ended = Table("job alarms", *next(iter(result["job_alarms"].values()), {}))
    for level, counts in result["job_alarms"].items():
        ended.add_row(level.replace("_", " "), *map(str, counts.values()))
    out.print(ended)
    if result["adversarial_total"]:
        out.print(
            f"Attacks: {result['adversarial_wrong']} wrong of {result['adversarial_total']};"
            f" honest twins suppressed: {result['honest_suppressed']} of {result['honest_total']}"
        )
        for failure in result["adversarial_failures"]:
            out.print(f"  {failure['family']} {failure['number']}: {failure['why']}")
    for clause, counts in result["ablation"].items():
        out.print(f"without {clause}: {counts['wrong']} of {counts['attacks']} get through")
    for line in result["missed"]:
        out.print(f"missed: {line}")
