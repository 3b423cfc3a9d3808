"""The command with which a named person puts assets into service, or takes them out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.commissioning.view import Standing


def accept(
    config: Annotated[Path, typer.Option(help="gateway.toml", exists=True)] = Path("gateway.toml"),
    asset: Annotated[
        list[str] | None, typer.Option(help="An asset; may be given several times.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every asset that waits in the shadow.")
    ] = False,
    by: Annotated[
        str, typer.Option(help="Who accepts; as in [trust.operators]. Without it nothing changes.")
    ] = "",
    because: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take assets back out of service, into the shadow.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: for scripts.")] = False,
    key: Annotated[
        Path | None,
        typer.Option(help="Private key of that person, where signatures are required."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout; asks nothing.")] = False,
) -> None:
    """Put assets into service: from then on their alerts ring for operators.

    First shown: days, hours, modes and states seen and never seen, alerts expected and rung in the
    shadow, blind and broken channels, drift, doubts. A running gateway follows within seconds. Exit
    code 1: nothing has changed.

    Example: `andon accept --asset pump-1 --by ann --because "a week without a false alert"`
    """
    from edge.commissioning.view import Acceptance

    if bool(asset) == every:
        raise typer.BadParameter("name assets with --asset, or all of them with --all")
    acceptance = Acceptance(config)
    names = acceptance.assets(asset or [], every=every, withdraw=withdraw)
    standings = [acceptance.standing(name) for name in names]
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(standings), indent=1).decode())
    else:
        for standing in standings:
            _show(standing)
    what = "withdrawn from service" if withdraw else "put into service"
    if not by:
        typer.echo(
            f"nothing has changed; --by NAME says who has {', '.join(names)} {what}", err=True
        )
        raise typer.Exit(int(not as_json))
    asked = f"{', '.join(names)}: {what} by {by}?"
    if not yes and (as_json or not typer.confirm(asked)):
        typer.echo("nothing has changed", err=True)
        raise typer.Exit(1)
    acceptance.write(standings, by=by, because=because, withdraw=withdraw, key=key)
    typer.echo(f"{', '.join(names)}: {what} by {by}", err=as_json)


def _show(one: Standing) -> None:
    """One asset, a line a fact, doubts last."""
    tell = console().print
    never = f"{_spans(one.hours_never) or 'none'} (UTC)"
    a_day, budget = one.alerts_expected_per_day, one.alerts_budget_per_day
    bare, shadow_a_day = _listed(one.modes_bare), one.alerts_shadow_per_day
    facts = {
        "learned from": f"{one.learned_rows} rows, {one.learned_hours:.1f} h",
        "seen since": f"{one.hours:.1f} h on {one.days} days; hours of the day never seen: {never}",
        "modes": f"seen {_listed(one.modes_seen)}; never since {_listed(one.modes_never)}",
        "bare modes": f"met without a baseline, and not scored: {bare}",
        "run states": f"running {_seen(seen=one.ran)}, stopped {_seen(seen=one.stood)}",
        "alerts a day": f"{a_day:.2g} expected, its part of the budget is {budget:.2g}",
        "in the shadow": f"{one.alerts_shadow} would have rung, {shadow_a_day:.2g} a day",
        "blind": "; ".join(one.blind) or "none",
        "broken": _listed(one.broken),
        "drift": _listed(one.drift),
    }
    lines = [f"{one.asset}: {one.stage}, bundle {one.bundle_sha256[:12]}"]
    lines += [f"  {name:14} {fact}" for name, fact in facts.items()]
    lines += [f"  rang: {line}" for line in one.rang]
    lines += [f"  doubt: {line}" for line in one.doubts]
    for line in lines:
        tell(line, markup=False, highlight=False, soft_wrap=True)


def _seen(*, seen: bool) -> str:
    return "seen" if seen else "never seen"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _spans(hours: tuple[int, ...]) -> str:
    """Hours of the day as spans: (0, 1, 2, 7) is 0-2, 7."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][-1] == hour - 1:
            spans[-1].append(hour)
        else:
            spans.append([hour])
    return ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else str(s[0]) for s in spans)
