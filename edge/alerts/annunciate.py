"""Annunciation: who asks the operator for attention, every alert by itself or one for many.

Hears each alert as it is published, finds floods and counts the load. A member of a group is
published like any alert; only its flag says that the group rings for it. It rings by itself where
it is of a higher severity than the group, beyond a limit on a safety channel, or escalated, or was
kept quiet by a job or an operator until now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts import announce_group
from edge.alerts.alerts import AlertState
from edge.alerts.announce import severity_now
from edge.alerts.causes import FLOOD_ASSETS, TIME, causes_of, topic_of
from edge.alerts.flood import STEP_NS, Flood
from edge.alerts.group import GROUP, Group, Notice, Ring
from edge.alerts.load import Ask, Load
from edge.alerts.numbering import follow
from edge.alerts.rationale import of_record
from edge.caps import NOTICES_MAX
from edge.samples.limits import level_name, newest_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.alerts.alerts import AlertRecord
    from edge.alerts.causes import Cause
    from edge.alerts.group import Join
    from edge.alerts.load import LoadReport
    from edge.batches import Sheaf
    from edge.desk import Desk
    from edge.records import AlertStands
    from edge.settings import AssetSettings
    from edge.state import AssetState, EngineState

MILLISECOND_NS: Final = 1_000_000
EVER_NS: Final = 2**62


class Annunciator:
    """One for all assets. Times are plant time, ns."""

    def __init__(self, *, state: EngineState, desk: Desk) -> None:
        self._desk = desk
        self._assets: Mapping[str, AssetState] = state.assets
        self._state = state.flood
        engine = desk.settings.engine
        self._late_ns = engine.late_ms_max * MILLISECOND_NS
        # two steps at least: one that is cut off whole, and what is late of the one before it
        self._delay_ns = STEP_NS * (1 + max(-(-self._late_ns // STEP_NS), 1))
        # also where there were more of them, and a flood of then is not over
        unfinished = bool(state.flood.groups or state.flood.recent)
        self._many = len(state.assets) > FLOOD_ASSETS or unfinished
        causes = known_causes(desk.settings.asset, tuple(state.assets))
        self._causes = {topic_of(cause): cause for cause in causes}
        self._causes |= {topic: group.cause for topic, group in state.flood.groups.items()}
        self._flood = Flood(
            configured_causes(desk.settings.asset),
            state=state.flood,
            delay_ns=self._delay_ns,
            time_quiets=engine.flood_time_quiets,
            scada_acks=engine.scada_acks,
        )
        self._load = Load(engine, state=state.load)

    # --- in ---

    def hear(self, record: AlertRecord, settings: AssetSettings) -> None:
        """An alert is about to be published: say whether it rings by itself, and count it."""
        t_ns = record.changed_ns
        sounds = record.sounds
        begins = sounds and not record.told_rings
        if begins and self._many:
            self._begins(record, settings)
        elif record.told_rings and not sounds and self._many:
            self._note(Notice(t_ns=t_ns, asset=record.asset, track=record.track))
        if record.quiet and self._speaks_up(record, settings):
            record.quiet = False
        if begins and self._load.rang(record.asset, record.track, record.alert_id, t_ns=t_ns):
            self._tell("alert_chatters", record)
        if record.annunciates and (begins or record.rung > record.told_rung):
            self._load.heard(
                Ask(
                    t_ns=t_ns,
                    position=settings.position,
                    asset=record.asset,
                    track=record.track,
                    alert_id=record.alert_id,
                )
            )
        if record.shadow and record.rings and not record.told_rung:
            self._count_shadow(record)
        record.told_rings, record.told_rung = sounds, record.rung

    def _count_shadow(self, record: AlertRecord) -> None:
        """An event that rings for no operator, because its asset is not in service yet."""
        commission = self._assets[record.asset].commission
        if commission is not None:
            rang = commission.rang
            rang[record.track] = rang.get(record.track, 0) + 1

    def _begins(self, record: AlertRecord, settings: AssetSettings) -> None:
        ring = Ring(
            t_ns=record.changed_ns,
            asset=record.asset,
            track=record.track,
            alert_id=record.alert_id,
            count=record.count,
            begin_ns=record.begin_ns,
            channel=record.contributions[0].channel if record.contributions else "",
            severity=severity_now(record, settings),
            respond_min=of_record(record, settings).respond_min or 0,
        )
        group_id = self._flood.rings_for(ring, kept=record.group_id)
        # what a job or an operator kept quiet until now rings by itself, as was promised
        held_back = record.was_suppressed or record.told_rung > 0
        record.quiet = bool(group_id) and not held_back and not self._speaks_up(record, settings)
        record.group_id = group_id
        ring = msgspec.structs.replace(ring, group_id=group_id)
        self._note(Notice(t_ns=ring.t_ns, asset=ring.asset, track=ring.track, ring=ring))
        if record.quiet:
            self._audit("grouped", record, detail=f"{group_id} rings for it")

    def _speaks_up(self, record: AlertRecord, settings: AssetSettings) -> bool:
        """Whether it rings by itself, whatever its group."""
        if record.escalated or any(name in settings.safety for name in record.beyond):
            return True
        if self._desk.not_durable:  # the trail cannot say that it was kept quiet
            return True
        limits = newest_limits(self._desk.limits_of(record.asset), now_ns=record.changed_ns)
        return any(
            level_name(limits.get(part.channel, ()), part.value) is not None
            for part in record.contributions
            if part.channel in settings.safety
        )

    def _note(self, notice: Notice) -> None:
        if len(self._state.notices) >= NOTICES_MAX:
            self._fold(EVER_NS)
        self._flood.note(notice)

    # --- time ---

    def in_step(self, sheaves: Sequence[Sheaf]) -> Iterator[list[Sheaf]]:
        """Samples in steps of plant time, so that all assets come to a step together.

        What has been found by then counts before a step is taken. With few assets there is no
        flood, and all is one step.
        """
        waiting = list(sheaves)
        while waiting:
            if not self._many:
                yield waiting
                return
            first_ns = min(int(sheaf.t_ns[:, 0].min()) for sheaf in waiting)
            end_ns = first_ns // STEP_NS * STEP_NS + STEP_NS
            self._fold(end_ns - self._delay_ns)
            if max(int(sheaf.t_ns[:, -1].max()) for sheaf in waiting) < end_ns:
                yield waiting
                return
            cuts = [sheaf.before(end_ns) for sheaf in waiting]
            yield [part for before, _ in cuts for part in before]
            waiting = [part for _, behind in cuts for part in behind]

    def settle(self, now_ns: int) -> None:
        """Find floods among all that rang by now."""
        self._fold(now_ns - self._late_ns)

    def enact(self, state: AssetState, *, t_ns: int) -> None:
        """What a group decided of an asset's alerts counts from now on."""
        due = [join for join in state.joins if join.t_ns <= t_ns]
        state.joins = [join for join in state.joins if join.t_ns > t_ns]
        settings = self._desk.settings.of_asset(state.asset) if due else None
        for join in due:
            record = state.alerts[join.track]
            if settings is not None and (record.alert_id, record.count) == (
                join.alert_id,
                join.count,
            ):
                self._joined(record, join, settings, t_ns=t_ns)

    def _joined(
        self, record: AlertRecord, join: Join, settings: AssetSettings, *, t_ns: int
    ) -> None:
        before = record.group_id, record.quiet
        record.group_id = join.group_id
        record.quiet = join.quiet and not self._speaks_up(record, settings)
        if not record.sounds or before == (record.group_id, record.quiet):
            return
        reason = f"belongs to {record.group_id}" if record.group_id else "belongs to no group"
        if before[1] and not record.quiet:
            record.rung += 1
            reason += ", and rings by itself"
        record.turn(t_ns=t_ns, reason=reason)
        self._desk.alert_changed(record, settings)
        if record.quiet != before[1]:
            self._audit("grouped" if record.quiet else "rang_again", record, detail=reason)

    def look(self, *, now_ns: int) -> None:
        """Look for alerts that have stood too long."""
        records = (
            r for asset in self._assets.values() for r in asset.alerts.values() if not r.shadow
        )
        for record in self._load.look(records, now_ns=now_ns):
            self._tell("alert_stale", record)

    def clock_stepped_back(self) -> None:
        """No time of the past can be held against the new one."""
        self._fold(EVER_NS)
        self._flood.clock_stepped_back()
        self._load.clock_stepped_back()

    # --- operators ---

    def acknowledge(
        self, alert_id: str, *, operator: str, t_ns: int
    ) -> list[tuple[str, str]] | None:
        """Somebody has seen a group.

        Returns (asset, alert id) of the alerts that it rings for; None: no group waits for it.
        """
        for group in self._state.groups.values():
            if group.group_id == alert_id != "" and group.acknowledge():
                group.turn(t_ns=t_ns, reason=f"acknowledged by {operator}")
                self._publish(group)
                self._desk.audited(
                    "acknowledged",
                    asset=GROUP,
                    t_ns=t_ns,
                    alert_id=alert_id,
                    revision=group.revision,
                    operator=operator,
                )
                return [
                    (record.asset, record.alert_id)
                    for member in group.members
                    if member.ring.asset in self._assets  # not left with its bundle
                    for record in [self._assets[member.ring.asset].alerts[member.ring.track]]
                    if record.group_id == alert_id and record.quiet
                ]
        return None

    # --- out ---

    def report(self, *, now_ns: int) -> LoadReport:
        """The load of this shift and the one before."""
        return self._load.report(now_ns=now_ns)

    def counts(self) -> dict[str, int]:
        """What was beyond a cap; nothing where nothing was."""
        lost = sum(group.lost for group in self._state.groups.values())
        found = {"flood_rings_forgotten": self._state.forgotten, "group_members_beyond_cap": lost}
        return {name: count for name, count in found.items() if count}

    def groups(self) -> dict[str, Group | None]:
        """By `topic_of`, the newest group of each cause; None: none yet."""
        return {topic: self._state.groups.get(topic) for topic in self._causes}

    def say_again(self, stands: AlertStands, *, t_ns: int) -> None:
        """Our word becomes a revision behind the one that stands; an unknown group is ended."""
        kind, name = self._causes[stands.group]
        group = self._state.groups.get(stands.group) or Group(
            kind=kind, name=name, group_id=stands.alert_id, state=AlertState.CLEARED_ACK
        )
        group.revision_floor = self._state.revision_floor
        self._state.groups[stands.group] = group
        if group.group_id == stands.alert_id:
            follow(group, stands.revision, by=stands.leap)
        follow(group, stands.own_revision, by=stands.leap)
        group.turn(t_ns=t_ns, reason="decided anew after a restart")
        self._publish(group)

    def _fold(self, until_ns: int) -> None:
        if not self._state.notices and not self._state.due_ns:
            return
        changes, joins = self._flood.fold(until_ns)
        for group in changes:
            self._publish(group)
            if group.began:
                self._heard(group)
        for join in joins:
            state = self._assets.get(join.asset)
            if state is not None:  # else it left with its bundle
                self._desk.before((join.asset,))
                state.joins = [*state.joins, join]
                self._desk.stirred.add(join.asset)

    def _heard(self, group: Group) -> None:
        settings = self._desk.settings
        for position in sorted({settings.of_asset(m.ring.asset).position for m in group.members}):
            self._load.heard(
                Ask(
                    t_ns=group.changed_ns,
                    position=position,
                    asset=GROUP,
                    track=group.kind,
                    alert_id=group.group_id,
                )
            )
        first = group.first_out
        self._desk.note(
            "alarm_flood",
            level="warning",
            group=group.group_id,
            assets=len(group.members),
            first_out=f"{first.asset} {first.channel}".strip(),
        )

    def _publish(self, group: Group) -> None:
        self._desk.effects.extend(announce_group.group(group, site=self._desk.settings))

    def _audit(self, what: str, record: AlertRecord, *, detail: str) -> None:
        self._desk.audited_alert(what, record, t_ns=record.changed_ns, detail=detail)

    def _tell(self, name: str, record: AlertRecord) -> None:
        asset, track = record.asset, str(record.track)
        self._desk.note(name, level="warning", asset=asset, track=track, alert=record.alert_id)


def configured_causes(assets: Sequence[AssetSettings]) -> dict[str, tuple[Cause, ...]]:
    """The causes that configured assets may share with enough others, by asset."""
    return causes_of((a.id, a.utilities, a.functional_location, a.area) for a in assets)


def known_causes(configured: Sequence[AssetSettings], assets: Sequence[str]) -> list[Cause]:
    """The causes of all group alerts that a gateway with these assets may publish."""
    if len(assets) <= FLOOD_ASSETS:
        return []
    causes = {cause for known in configured_causes(configured).values() for cause in known}
    return [TIME, *sorted(causes)]
