"""The families of attacks: what is wrong with a job, each with its honest twin.

`FAMILIES` maps a name to a function from a draft to a variant. Where a family has an honest twin of
its own kind (a witness by person or by signal), `HONEST` makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from simulator.attack_words import (
    ELSEWHERE,
    FAULT_WORDS,
    NEAR_NAMES,
    POISON,
    STATUSES,
)
from simulator.attacks import (
    ASSET,
    BEGIN_S,
    BUDGET_S,
    DAY_S,
    END_S,
    FUSE_MIN,
    LENGTH_S,
    MARK_S,
    ORDER_ID,
    OTHER,
    Draft,
    Variant,
)
from simulator.jobs import WORKS

if TYPE_CHECKING:
    from collections.abc import Callable


def _pick(draft: Draft, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401 - one of them
    return choices[draft.number % len(choices)]


# --- who and what ---


def wrong_asset(d: Draft) -> Variant:
    """The order is of the neighbour."""
    return d.variant("wrong_asset", texts=d.texts([d.order_row(asset=OTHER)]))


def near_miss_name(d: Draft) -> Variant:
    """The order, or its scope row, nearly names the robot."""
    name = _pick(d, NEAR_NAMES)
    if d.number % 3 == 0:
        return d.variant("near_miss_name", texts=d.texts(scopes=[d.scope_row(asset=name)]))
    return d.variant("near_miss_name", texts=d.texts([d.order_row(asset=name)]))


def wrong_instrument(d: Draft) -> Variant:
    """The order is of other work, which may not disturb this."""
    others = [w for w in WORKS if not set(w.channels) & set(d.work.channels)]
    other = others[d.number % len(others)]
    row = d.order_row(kind=other.kind.value, instrument=other.instrument)
    scope = d.scope_row(
        kind=other.kind.value, instrument=other.instrument, channels=";".join(other.channels)
    )
    return d.variant("wrong_instrument", texts=d.texts([row], [d.scope_row(), scope]))


def channel_outside_scope(d: Draft) -> Variant:
    """The work goes on; what is disturbed is not what it may disturb."""
    return d.variant("channel_outside_scope", marks=(d.mark(d.outside()),))


def safety_listed(d: Draft) -> Variant:
    """What is disturbed is on the safety list, and no mask hides it."""
    return d.variant("safety_listed", safety=d.work.channels)


# --- when ---


def wrong_day(d: Draft) -> Variant:
    """The same hours of another day."""
    days = (d.number % 29 + 1) * (1 if d.number % 2 else -1)
    row = d.order_row(
        start=d.iso(BEGIN_S + days * DAY_S),
        end=d.iso(END_S + days * DAY_S),
        recorded_at=d.iso(-40 * DAY_S),
    )
    return d.variant("wrong_day", texts=d.texts([row]))


def backdated(d: Draft) -> Variant:
    """The order was recorded after the disturbance began, with times before it."""
    at_s = MARK_S + 60 + d.number % 300
    texts = d.texts([d.order_row(recorded_at=d.iso(at_s))])
    return d.variant("backdated", texts=texts, rings_from_s=MARK_S, rings_by_s=MARK_S + BUDGET_S)


def default_times(d: Draft) -> Variant:
    """Nobody meant these times: days, midnights, none, or what many orders share."""
    kind = d.number % 4
    day = d.local(BEGIN_S)[:10]
    if kind == 0:
        rows = [d.order_row(start=day, end=day)]
    elif kind == 1:
        rows = [d.order_row(start=f"{day}T00:00:00+01:00", end=f"{day}T23:59:00+01:00")]
    elif kind == 2:
        rows = [d.order_row(start="" if d.number % 8 < 4 else d.iso(BEGIN_S), end="")]
    else:
        rows = [
            d.order_row(
                order_id=f"{ORDER_ID}-{i}" if i else ORDER_ID,
                start=d.iso(BEGIN_S - i * DAY_S),
                end=d.iso(END_S - i * DAY_S),
            )
            for i in range(12)
        ]
    return d.variant("default_times", texts=d.texts(rows))


def expired(d: Draft) -> Variant:
    """The work was over, and had settled, before anything happened."""
    over_s = MARK_S - d.work.settle_s - 30 - d.number % 90
    row = d.order_row(start=d.iso(over_s - 500), end=d.iso(over_s))
    return d.variant("expired", texts=d.texts([row]))


def partial_overlap(d: Draft) -> Variant:
    """It had begun before the work was opened."""
    early_s = BEGIN_S - 60 - d.number % 240
    return d.variant(
        "partial_overlap",
        marks=(d.mark(begin_s=early_s),),
        rings_from_s=early_s,
        rings_by_s=early_s + BUDGET_S,
    )


def too_long(d: Draft) -> Variant:
    """An order of a whole day; the fuse of its scope row ends it."""
    row = d.order_row(end=d.iso(BEGIN_S + 8 * 3600 + d.number))
    scope = d.scope_row(duration_min_max="15")
    return d.variant(
        "too_long",
        texts=d.texts([row], [scope]),
        marks=(d.mark(end_s=LENGTH_S),),
        rings_from_s=MARK_S,
        rings_by_s=BEGIN_S + 15 * 60 + BUDGET_S,
    )


def zone_shift(d: Draft) -> Variant:
    """The clock of the plant was written with the zone of another place, or with none."""
    if d.number % 3 == 0:
        row = d.order_row(start=d.local(BEGIN_S), end=d.local(END_S))
    else:
        offset = d.iso(BEGIN_S, zone=ZoneInfo(_pick(d, ELSEWHERE)))[19:]
        row = d.order_row(start=d.local(BEGIN_S) + offset, end=d.local(END_S) + offset)
    return d.variant("zone_shift", texts=d.texts([row]))


def daylight_saving(d: Draft) -> Variant:
    """The order is an hour off, as if the clocks had been changed."""
    off_s = 3600 if d.number % 2 else -3600
    row = d.order_row(start=d.iso(BEGIN_S + off_s), end=d.iso(END_S + off_s))
    return d.variant("daylight_saving", texts=d.texts([row]))


def clock_jump(d: Draft) -> Variant:
    """The robot's own clock runs ahead into the time of an order; the others know better."""
    ahead_s = 1800 + d.number % 5400
    row = d.order_row(start=d.iso(BEGIN_S + ahead_s), end=d.iso(END_S + ahead_s))
    return d.variant("clock_jump", texts=d.texts([row]), ahead_s=ahead_s)


# --- who says so ---


def unapproved_status(d: Draft) -> Variant:
    """Nobody has approved it."""
    return d.variant("unapproved_status", texts=d.texts([d.order_row(status=_pick(d, STATUSES))]))


def unapproved_by(d: Draft) -> Variant:
    """Approved by nobody."""
    row = d.order_row(approved_by=_pick(d, ("", "-", "n/a", "?", "none", "tbd", "pending")))
    return d.variant("unapproved_by", texts=d.texts([row]))


def cancelled(d: Draft) -> Variant:
    """Called off before: by a row, by a line of the log, or by a person."""
    how = d.number % 3
    at_s = -600 - d.number % 3000
    if how == 0:
        rows = [d.order_row(), d.order_row(status="CAN", recorded_at=d.iso(at_s))]
        return d.variant("cancelled", texts=d.texts(rows))
    if how == 1:
        said = _pick(d, ("cancelled", "not done", "called off, no gauge", "NOT today", "canceled"))
        stamp = d.local(at_s)[:16].replace("T", " ")
        log = f"# zone: Europe/Berlin\n{stamp} {ORDER_ID} {said}, op-11\n"
        return d.variant("cancelled", texts=d.texts(more={"logs/shift.log": log}))
    off = d.say("job", BEGIN_S - 30, action="cancel", job_id=ORDER_ID, reason="not today")
    return d.variant("cancelled", told=(off,))


def corrective(d: Draft) -> Variant:
    """Work after a failure excuses nothing, whatever its status."""
    words = _pick(d, FAULT_WORDS)
    if d.number % 4 == 0:
        row = d.order_row(kind="repair", description=words)
        texts = d.texts([row], [d.scope_row(), d.scope_row(kind="repair")])
    elif d.number % 4 == 1:
        texts = d.texts([d.order_row(work_type="CM")])
    else:
        texts = d.texts([d.order_row(description=f"{words} R1")])
    return d.variant("corrective", texts=texts)


def only_proposed(d: Draft) -> Variant:
    """Logs and schedules speak of it; nobody has witnessed it."""
    stamp = d.local(BEGIN_S)[:16].replace("T", " ")
    words = d.work.words[0]
    log = f"# zone: Europe/Berlin\n{stamp} R1 {words} started, op-07\n"
    head = "asset,kind,instrument,planned_start,planned_end,recorded_at,description\n"
    cells = (ASSET, d.work.kind.value, d.work.instrument, d.iso(BEGIN_S), d.iso(END_S))
    plan = head + ",".join((*cells, d.iso(-DAY_S), words)) + "\n"
    texts = d.texts((), more={"logs/shift.log": log, "schedule.csv": plan})
    return d.variant("only_proposed", texts=texts)


def poisoned_text(d: Draft) -> Variant:
    """Documents that order what nobody has."""
    said = _pick(d, POISON)
    stamp = d.local(BEGIN_S)[:16].replace("T", " ")
    line = said.replace("\n", " ")
    texts = d.texts(
        [d.order_row(status="WAPPR", description=line)],
        more={
            "manual.md": f"# R1 {d.work.words[0]}\n\n{said}\n",
            "logs/shift.log": f"# zone: Europe/Berlin\n{stamp} {line}\n",
            "note.txt": said,
        },
    )
    return d.variant("poisoned_text", texts=texts)


def retained_command(d: Draft) -> Variant:
    """A check-in that the broker repeats to everyone who connects."""
    told = d.check_in(BEGIN_S + d.number % 40, retain=True)
    return d.variant("retained_command", texts=d.texts(()), told=(told,))


def stale_command(d: Draft) -> Variant:
    """A check-in that was meant for another moment."""
    told = d.check_in(age_s=(400 + d.number * 37 % 90_000) * (1 if d.number % 2 else -1))
    return d.variant("stale_command", texts=d.texts(()), told=(told,))


def late_check_in(d: Draft) -> Variant:
    """Checked in after it began: what rings already is not expected backwards."""
    told = d.check_in(MARK_S + 45 + d.number % 200)
    return d.variant(
        "late_check_in",
        texts=d.texts(()),
        told=(told,),
        rings_from_s=MARK_S,
        rings_by_s=MARK_S + BUDGET_S,
    )


# --- scope ---


def empty_scope(d: Draft) -> Variant:
    """No approved row says what this work may disturb."""
    rows = (
        (),
        (d.scope_row(channels=""),),
        (d.scope_row(approved_by=""),),
        (d.scope_row(approved_at=""),),
        (d.scope_row(instrument="elsewhere"),),
        (d.scope_row(channels=d.outside()),),
        (d.scope_row(approved_at=d.iso(3 * DAY_S)),),
        (d.scope_row(duration_min_max="0"),),
    )
    return d.variant("empty_scope", texts=d.texts(scopes=rows[d.number % len(rows)]))


def wildcard(d: Draft) -> Variant:
    """Somebody wrote a pattern where an exact name is asked for."""
    pattern = _pick(d, ("*", "all", "any", "%", ".*", "r*", "every", "?", "ALL CHANNELS", "**"))
    where = ("asset", "channels", "instrument")[d.number // 10 % 3]
    return d.variant("wildcard", texts=d.texts(scopes=[d.scope_row(**{where: pattern})]))


def duplicate_id(d: Draft) -> Variant:
    """Two rows of one order and one moment that cannot both be right."""
    other = (
        d.order_row(asset=OTHER),
        d.order_row(status="CAN"),
        d.order_row(start=d.iso(BEGIN_S + 7200), end=d.iso(END_S + 7200)),
        d.order_row(kind="repair", description="leak repaired"),
        d.order_row(order_id=ORDER_ID.lower(), status="CAN"),
        d.order_row(status="WAPPR"),
    )
    return d.variant("duplicate_id", texts=d.texts([d.order_row(), other[d.number % len(other)]]))


def corrupt_snapshot(d: Draft) -> Variant:
    """One byte of the snapshot is not what it was."""
    return d.variant("corrupt_snapshot", corrupt=True)


# --- a fault while the work goes on ---


def fault_on_masked(d: Draft) -> Variant:
    """A fault begins under the mask and stays: it rings once the work is over and has settled."""
    begin_s = MARK_S + d.number % 300
    size = (3.0 + d.number % 4) * (1 if d.size > 0 else -1)
    return d.variant(
        "fault_on_masked",
        marks=(d.mark(begin_s=begin_s, end_s=LENGTH_S, size=size),),
        rings_from_s=begin_s,
        rings_by_s=END_S + max(d.work.settle_s, 60) + BUDGET_S,
    )


def fault_on_unmasked(d: Draft) -> Variant:
    """A fault on what the work does not disturb, while the work disturbs what it may."""
    begin_s = MARK_S + 30 + d.number % 200
    fault = d.mark(d.outside(), begin_s=begin_s, end_s=begin_s + 500)
    return d.variant(
        "fault_on_unmasked",
        marks=(d.mark(), fault),
        rings_from_s=begin_s,
        rings_by_s=begin_s + BUDGET_S,
    )


def stuck_bypass(d: Draft) -> Variant:
    """The function-check bit rises and never falls: the fuse ends what it allows."""
    rise_s = BEGIN_S - d.number % 300
    fuse_s = rise_s + FUSE_MIN * 60
    return d.variant(
        "stuck_bypass",
        texts=d.texts(()),
        bit=((rise_s, LENGTH_S),),
        marks=(d.mark(end_s=LENGTH_S),),
        rings_from_s=MARK_S,
        rings_by_s=fuse_s + BUDGET_S,
    )


def bit_from_the_start(d: Draft) -> Variant:
    """The bit was 1 when it was first seen: no edge, no work."""
    return d.variant("bit_from_the_start", texts=d.texts(()), bit=((0, LENGTH_S),))


# --- honest twins ---


def honest_order(d: Draft) -> Variant:
    """An approved order with real times, recorded before."""
    return d.variant("honest_order", honest=True)


def honest_person(d: Draft) -> Variant:
    """A person checks the work in and out."""
    out = d.say("job", END_S, action="check_out", asset=ASSET, kind=d.work.kind.value)
    told = (d.check_in(), out)
    return d.variant("honest_person", honest=True, texts=d.texts(()), told=told)


def honest_bit(d: Draft) -> Variant:
    """The function-check bit rises and falls with the work."""
    bit = ((BEGIN_S, END_S),)
    return d.variant("honest_bit", honest=True, texts=d.texts(()), bit=bit)


BY_BIT: Final = {"stuck_bypass", "bit_from_the_start", "honest_bit"}  # of the work that it is for
FAMILIES: Final[dict[str, Callable[[Draft], Variant]]] = {
    family.__name__: family
    for family in (
        wrong_asset, near_miss_name, wrong_instrument, channel_outside_scope, safety_listed,
        wrong_day, backdated, default_times, expired, partial_overlap, too_long, zone_shift,
        daylight_saving, clock_jump, unapproved_status, unapproved_by, cancelled, corrective,
        only_proposed, poisoned_text, retained_command, stale_command, late_check_in, empty_scope,
        wildcard, duplicate_id, corrupt_snapshot, fault_on_masked, fault_on_unmasked, stuck_bypass,
        bit_from_the_start,
    )
}  # fmt: skip
HONEST: Final[dict[str, Callable[[Draft], Variant]]] = {
    family.__name__: family for family in (honest_order, honest_person, honest_bit)
}
