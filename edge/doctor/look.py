"""A look at an installation: a probe that fails is a finding among others, never the end."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from edge.audit.chain import audit_directory, verify
from edge.brokers.links import endpoint_of
from edge.brokers.mqtt import Collector
from edge.checks.check import closed, looked_at
from edge.configuration.config import load
from edge.doctor.finding import Finding, Level, Page, page_of
from edge.doctor.health import of_another, of_health, of_status
from edge.errors import UNREADABLE, AndonError, JournalError
from edge.storage.dead_letters import read_letters
from edge.wire.outgoing import HealthPayload, StatusPayload
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

    Probe = Callable[[], Iterable[Finding]]

T = TypeVar("T")
WAIT_S: Final = 12.0  # a gateway says how it is every ten seconds
QUIET_S: Final = 3.0  # what is retained comes at once
MESSAGES_MAX: Final = 1_000
DAY_NS: Final = 86_400 * 10**9
REASONS: Final = 5


def looked(path: Path | None, *, wait_s: float = WAIT_S) -> Page:
    """Look at all of it. path: the configuration, None where there is none."""
    found = list(_findings(path, wait_s=wait_s))
    return page_of(found, file=str(path or ""), ts_ms=time.time_ns() // 1_000_000)


def _findings(path: Path | None, *, wait_s: float) -> Iterator[Finding]:
    if path is None:
        yield Finding(
            level=Level.WRONG,
            what="configuration",
            found="there is no gateway.toml here",
            do="name it: andon doctor PATH; or begin: andon discover --broker HOST:1883 -o"
            " gateway.toml",
        )
        return
    try:
        config = load(path)
    except AndonError as error:
        yield Finding(
            level=Level.WRONG,
            what="configuration",
            found=str(error),
            do=f"mend {path}; docs/configuration.md has every key",
        )
        return
    yield from each(probes(config, path, wait_s=wait_s))


def probes(config: GatewayConfig, path: Path, *, wait_s: float) -> dict[str, Probe]:
    """What is looked at, by name."""
    looks: dict[str, Probe] = {
        "check": lambda: _checked(config, path),
        "gateway": lambda: _heard(config, wait_s=wait_s),
    }
    if not closed(config.path(config.journal.dir)):  # else the check has told it
        looks["dead letters"] = lambda: _letters(config)
        looks["audit trail"] = lambda: _audit(config)
    return looks


def each(looks: dict[str, Probe]) -> Iterator[Finding]:
    """What each probe finds, up to where it fails, and that it has failed."""
    for name, look in looks.items():
        try:
            yield from look()
        except AndonError as error:
            yield Finding(level=Level.WRONG, what=name, found=str(error))
        except OSError as error:  # the box's, not ours
            yield Finding(
                level=Level.WRONG,
                what=name,
                found=f"it could not be looked at: {error}",
                do="look as root or as the gateway's user; else mend that file, or its disk",
            )
        except Exception as error:  # noqa: BLE001 - whatever is broken, the rest is looked at
            yield Finding(
                level=Level.WRONG,
                what=name,
                found=f"it could not be looked at: {type(error).__name__}: {error}",
                do="that is a mistake of Andon's: please report it with this page",
            )


def _checked(config: GatewayConfig, path: Path) -> Iterator[Finding]:
    """All that `andon check` looks at; its details say what to do."""
    for what, fine, detail in looked_at(config, path)[1].rows:
        yield Finding(level=Level.FINE if fine else Level.WRONG, what=what, found=detail)


def _heard(config: GatewayConfig, *, wait_s: float) -> Iterator[Finding]:
    """What the gateway says on the broker. Raises AndonError where there is none."""
    topics = Topics(config.prefix, config.site)
    endpoint = replace(endpoint_of(config, config.mqtt.output), client_id="")
    status: StatusPayload | None = None
    health: HealthPayload | None = None
    unread = ""
    begun_s = time.monotonic()
    told = [topics.status, topics.health]
    with Collector(endpoint, told, queue_max=MESSAGES_MAX, patient=False) as heard:
        while health is None and not unread:
            running = status is not None and status.online
            left_s = begun_s + (wait_s if running else min(QUIET_S, wait_s)) - time.monotonic()
            if left_s <= 0.0:
                break
            heard.arrived.wait(left_s)
            heard.arrived.clear()
            while heard.queue:
                came = heard.queue.popleft()
                if came.topic == topics.status:
                    status = _read(came.payload, StatusPayload)
                    unread = topics.status if came.payload and status is None else ""
                elif not came.retain:
                    health = _read(came.payload, HealthPayload)
                    unread = unread or (topics.health if health is None else "")
    if unread != topics.status:
        yield of_status(status)
    if unread:
        yield of_another(unread)
    elif status is not None and status.online:
        every_s = float(config.engine.health_publish_s)
        yield from of_health(health, waited_s=wait_s, every_s=every_s)


def _read(payload: bytes, form: type[T]) -> T | None:
    try:
        return msgspec.json.decode(payload, type=form)
    except UNREADABLE:  # of another version
        return None


def _letters(config: GatewayConfig) -> Iterator[Finding]:
    """Messages of the last day that could not be read."""
    folder = config.path(config.journal.dir) / "dead_letters"
    try:
        reasons = Counter(
            (one.reason, one.topic)
            for one in read_letters(folder, since_ns=time.time_ns() - DAY_NS)
        )
    except JournalError:
        if any(folder.glob("*.jsonl")):  # there are some, and they cannot be read
            raise
        reasons = Counter()
    if not reasons:
        yield Finding(level=Level.FINE, what="dead letters", found="none in the last day")
        return
    told = ", ".join(f"{n} x {reason} on {t}" for (reason, t), n in reasons.most_common(REASONS))
    yield Finding(
        level=Level.SOON,
        what="dead letters",
        found=f"{sum(reasons.values())} messages of the last day could not be read: {told}",
        do="andon dead-letters --config GATEWAY.toml shows how they begin; [[source]] format may be"
        " another one",
    )


def _audit(config: GatewayConfig) -> Iterator[Finding]:
    """Whether the chain of the audit trail is whole."""
    directory = audit_directory(config)
    if not directory.exists():
        yield Finding(level=Level.FINE, what="audit trail", found="none yet")
        return
    chain = verify(directory)
    if chain.broken is None:
        found = f"{chain.records} records, whole"
        yield Finding(level=Level.FINE, what="audit trail", found=found)
        return
    yield Finding(
        level=Level.WRONG,
        what="audit trail",
        found=f"the chain breaks in {chain.broken.file}, line {chain.broken.line}: it was changed,"
        " or the disk is damaged",
        do="keep a copy of the directory, then: andon audit verify --config GATEWAY.toml",
    )
