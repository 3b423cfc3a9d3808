"""Commands that write reports for people: the handover sheet, the month."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(help="gateway.toml", exists=True)]
Out = Annotated[Path, typer.Option("-o", "--out", help="File to write: .html or .pdf.")]
Language = Annotated[str, typer.Option(help="en or de; else [reports] language.")]


def report_handover(
    config: Config,
    out: Out,
    at: Annotated[
        str, typer.Option(help="Of the shift at this time, up to it (2026-10-31T14:00); else now.")
    ] = "",
    language: Language = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the broker for jobs and what is blind.")
    ] = False,
) -> None:
    """Write the handover sheet of a shift: new, standing, kept quiet, blind, jobs to confirm.

    Examples: `andon report handover gateway.toml -o handover.pdf`,
    `andon report handover gateway.toml --at 2026-10-31T14:00 --language de -o handover.html`
    """
    from edge.configuration.config import load
    from edge.errors import AndonError
    from edge.reports.asking import ask
    from edge.reports.making import Making, moment_ms

    settings = load(config)
    making = Making(settings, language=language)
    making.check_form(out.suffix)
    now = None
    if not offline:
        try:
            now = ask(settings)
        except AndonError as error:
            typer.echo(f"jobs and blind assets are not on the sheet: {error}", err=True)
    at_ms = moment_ms(at, making.local) if at else None
    out.write_bytes(making.written(making.handover(at_ms=at_ms, now=now), out.suffix))
    typer.echo(f"Wrote {out}")


def report_month(
    config: Config,
    out: Out,
    month: Annotated[str, typer.Option(help="Such as 2026-10; else the one that goes on.")] = "",
    labels: Annotated[
        Path | None,
        typer.Option(help="File of `andon label`: counts what operators said.", exists=True),
    ] = None,
    language: Language = "",
) -> None:
    """Write the alarm report of a month, by the figures of ISA-18.2 and EEMUA 191.

    Examples: `andon report month gateway.toml --month 2026-10 -o report.html`,
    `andon report month gateway.toml --labels labels.jsonl -o report.pdf`
    """
    from edge.configuration.config import load
    from edge.reports.making import Making

    making = Making(load(config), language=language)
    making.check_form(out.suffix)
    out.write_bytes(making.written(making.month(month, labels=labels), out.suffix))
    typer.echo(f"Wrote {out}")
