"""The command that learns from labels: `andon tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import ConfigFile, MappingFile, console
from andon.tune_words import first_lines, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from edge.tuning.command import Tuning

NEEDS_REASON_CODE = 3  # retrieval alone was shown, and nobody said why that is not enough


Labels = Annotated[Path, typer.Option(help="File of labels, made by `andon label`.", exists=True)]
Recordings = Annotated[
    list[Path],
    typer.Option(help="Journal or table that the labels speak of; may stand again.", exists=True),
]
SnapshotDirectory = Annotated[
    Path | None, typer.Option(help="Snapshot, for what retrieval alone achieves.", exists=True)
]
Because = Annotated[
    str, typer.Option(help="Why retrieval alone is not enough; without it nothing is learned.")
]
Override = Annotated[
    str, typer.Option(help="Why an event that was found before may be missed; it is audited.")
]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="New bundle directory; else proposed/ beside BUNDLE."),
]
Trail = Annotated[
    Path | None, typer.Option(help="Trail to write; else tuning-audit beside the new bundle.")
]
At = Annotated[str, typer.Option(help="When it was made, ISO 8601; else when the recordings end.")]


def tune(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory to tune.", exists=True)],
    labels: Labels,
    recording: Recordings,
    kb: SnapshotDirectory = None,
    because: Because = "",
    override: Override = "",
    out: Out = None,
    config: ConfigFile = None,
    mapping: MappingFile = None,
    audit: Trail = None,
    at: At = "",
    seed: Annotated[int, typer.Option(help="Of what is drawn by chance.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
) -> None:
    """Learn from labels: name failure modes, and ring less where an alert was nothing.

    First it prints what retrieval alone achieves on the labelled events. Without --because it ends
    there, exit code 3. Then: learning curve, a head that names failure modes or abstains,
    thresholds that keep every labelled fault found, and a report before and after on events that
    were held back. The result is a child bundle for `andon model shadow` and `promote`. Where it
    misses an event that was found before, nothing is written, exit code 1, unless --override says
    why; that is audited.

    Example: `andon tune bundles/line3 --labels labels.jsonl --recording shift7 --kb kb/current
    --because "the tables name the bearing, not which race" --html tuned.html`
    """
    from edge.tuning.command import TuneRequest, tune_bundle

    request = TuneRequest(
        bundle=bundle,
        labels=labels,
        recordings=tuple(recording),
        kb=kb,
        config=config,
        mapping=mapping,
        because=because,
        override=override,
        out=out,
        audit=audit,
        at_ns=_time(at) if at else None,
        seed=seed,
    )
    out_to = console()

    def say(line: str) -> None:
        if not as_json:
            out_to.print(line, highlight=False, markup=False, soft_wrap=True)

    with out_to.status("tuning") if not as_json else _quiet() as status:
        done = tune_bundle(
            request,
            tell=lambda line: status.update(line) if status is not None else None,
            heard=lambda report: say("\n".join(first_lines(report))),
        )
    _write(done, as_json=as_json, html=html, say=say)
    raise typer.Exit({"needs_reason": NEEDS_REASON_CODE, "made": 0}.get(done.stage, 1))


def _quiet() -> AbstractContextManager[None]:
    """No status line: stdout is for the JSON alone."""
    from contextlib import nullcontext

    return nullcontext()


def _time(said: str) -> int:
    from kb.times import iso_ns

    try:
        return iso_ns(said)
    except ValueError as error:
        raise typer.BadParameter(f"--at {said!r}: {error}") from error


def _write(done: Tuning, *, as_json: bool, html: Path | None, say: Callable[[str], None]) -> None:
    report = done.report
    if html is not None:
        from andon.tune_report import page

        page(done).write(html)
    if as_json:
        import msgspec

        told = {"stage": done.stage, **msgspec.to_builtins(report)}
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())
        return
    for line in last_lines(done):
        say(line)
    if html is not None:
        say(f"Report: {html}")
