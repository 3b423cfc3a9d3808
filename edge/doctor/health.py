"""What a gateway says of itself, in words: its newest status and health as findings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.wire.outgoing import HealthPayload, StatusPayload

LAG_MS_MAX: Final = 5_000.0
WAITING_MAX: Final = 1_000  # messages for the broker
CERTIFICATE_DAYS_MIN: Final = 30.0
LEFT_OUT: Final = frozenset({"duplicate", "historical"})  # of drops: nothing is missing for it
NAMED: Final = 6


def of_status(status: StatusPayload | None) -> Finding:
    """Whether a gateway is there at all."""
    if status is None:
        return Finding(
            level=Level.WRONG,
            what="gateway",
            found="no gateway of this site and prefix was ever heard on the broker",
            do="start it: andon run GATEWAY.toml, or systemctl start andon; else compare site and"
            " prefix with those of the one that runs",
        )
    if not status.online:
        return Finding(
            level=Level.WRONG,
            what="gateway",
            found="it is not running, or has lost the broker: nobody watches the plant",
            do="systemctl status andon, then journalctl -u andon: its last lines say why",
        )
    found = f"running, version {status.version}, bundle {status.bundle[:12] or 'none'}"
    return Finding(level=Level.FINE, what="gateway", found=found)


def of_another(topic: str) -> Finding:
    """Something came that this version cannot read: nobody knows how that gateway is."""
    return Finding(
        level=Level.WRONG,
        what="gateway",
        found=f"what stands on {topic} cannot be read here: it is of another version, or not ours",
        do="ask the program that runs there: /opt/andon/bin/andon doctor GATEWAY.toml",
    )


def of_health(
    health: HealthPayload | None, *, waited_s: float, every_s: float = 10.0
) -> Iterator[Finding]:
    """What a running gateway finds wrong with itself; None: it did not say in time.

    waited_s: for how long it was listened to; every_s: how often it is said.
    """
    if health is None and waited_s < every_s:
        yield Finding(
            level=Level.NOTE,
            what="health",
            found=f"nothing was heard for {waited_s:.3g} s; it is said every {every_s:.3g} s",
            do=f"listen longer: andon doctor GATEWAY.toml --seconds {every_s + 2.0:.0f}",
        )
        return
    if health is None:
        yield Finding(
            level=Level.WRONG,
            what="health",
            found=f"nothing was heard for {waited_s:.3g} s, though it is said every {every_s:.3g}"
            " s: it hangs, or may not publish",
            do="journalctl -u andon; andon check GATEWAY.toml lists what the broker must let it"
            " publish",
        )
        return
    yield from _input(health)
    yield from _disk(health)
    yield from _watched(health)
    yield from _links(health)
    yield from _clock(health)
    yield from _dropped(health)


def _input(health: HealthPayload) -> Iterator[Finding]:
    if health.messages_per_s <= 0.0:
        yield Finding(
            level=Level.WRONG,
            what="messages",
            found="none came lately",
            do="look at what the broker carries: andon discover --broker HOST:PORT --seconds 30;"
            " compare with the topics of [[source]]",
        )
    else:
        found = f"{health.messages_per_s:.3g} a second"
        yield Finding(level=Level.FINE, what="messages", found=found)
    if health.lag_ms is not None and health.lag_ms > LAG_MS_MAX:
        yield Finding(
            level=Level.WRONG,
            what="lag",
            found=f"it is {health.lag_ms / 1_000:.1f} s behind; {health.queue_depth} messages wait",
            do="give it a core of its own, fewer channels, or batches: docs/performance.md",
        )
    if health.overload.active:
        yield Finding(
            level=Level.WRONG,
            what="overload",
            found=f"more comes than it can take; {health.overload.shed} messages were given up",
            do="send fewer values, or in batches; docs/reliability.md says what is given up first",
        )


def _disk(health: HealthPayload) -> Iterator[Finding]:
    if not health.durable:
        yield Finding(
            level=Level.WRONG,
            what="disk",
            found=f"it does not take what must survive, for {health.not_durable_s:.0f} s:"
            f" {health.not_durable}; nothing is suppressed meanwhile",
            do="free space below [journal] dir, or mend the disk; nothing has to be restarted",
        )
    if health.outbox_pending > WAITING_MAX:
        yield Finding(
            level=Level.SOON,
            what="outbox",
            found=f"{health.outbox_pending} messages wait for the broker",
            do="see whether the broker takes them: mosquitto's log, its limits of queued messages",
        )


def _watched(health: HealthPayload) -> Iterator[Finding]:
    if health.blind:
        yield Finding(
            level=Level.WRONG,
            what="blind",
            found=f"nothing watches {_some(health.blind)}",
            do="look at these sensors and at what sends them; the operator page lists since when",
        )
    if health.learning or health.in_shadow:
        yield Finding(
            level=Level.NOTE,
            what="commissioning",
            found=f"{health.learning} assets learn, {health.in_shadow} ring for engineers alone",
            do="once their alerts make sense: andon accept --config GATEWAY.toml --asset ASSET"
            " (docs/commissioning.md)",
        )
    plug = health.sparkplug
    if plug.waiting_for_birth or plug.in_doubt:
        named = (*plug.waiting_for_birth, *plug.in_doubt)
        yield Finding(
            level=Level.WRONG,
            what="Sparkplug",
            found=f"no birth names the values of {_some(named)}",
            do="let these nodes be born again at their gateway, or allow it: rebirth = true",
        )


def _links(health: HealthPayload) -> Iterator[Finding]:
    for link in health.links:
        if not link.connected:
            yield Finding(
                level=Level.WRONG,
                what=f"link {link.broker}",
                found=f"{link.to}: {link.cause}",
                do="andon check GATEWAY.toml says what the broker answers",
            )
        days = link.certificate_days
        if days is not None and days < CERTIFICATE_DAYS_MIN:
            yield Finding(
                level=Level.SOON if days > 0 else Level.WRONG,
                what=f"certificate of {link.to}",
                found=f"it ends in {days:.0f} days",
                do="renew it; a new file counts with the next connection",
            )
    for output in health.outputs:
        if output.cause:
            yield Finding(
                level=Level.WRONG,
                what=f"output {output.output}",
                found=f"{output.cause}; {output.failed} failed, {output.dropped} were given up",
                do="see whether it can be reached from here; docs/scada.md",
            )


def _clock(health: HealthPayload) -> Iterator[Finding]:
    clock = health.clock
    if clock.doubted:
        yield Finding(
            level=Level.WRONG,
            what="clock",
            found=f"sources do not believe it: {clock.agree} of {clock.sources} agree on another"
            f" time, {clock.behind_s:.0f} s away",
            do="start a time service (chrony, systemd-timesyncd) here, or mend the sources'",
        )
    elif clock.suspect:
        yield Finding(
            level=Level.SOON,
            what="clocks of sources",
            found=f"{clock.suspect} of {clock.sources} show a time of their own",
            do="health lists them under clock; give them a time service",
        )


def _dropped(health: HealthPayload) -> Iterator[Finding]:
    lost = {name: n for name, n in health.drops.items() if n and name not in LEFT_OUT}
    if lost:
        most = sorted(lost.items(), key=lambda one: -one[1])[:NAMED]
        yield Finding(
            level=Level.NOTE,
            what="not accepted",
            found="since the start: " + ", ".join(f"{n} x {name}" for name, n in most),
            do="andon dead-letters --config GATEWAY.toml shows what they were",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
