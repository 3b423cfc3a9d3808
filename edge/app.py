"""The loop: stimuli from the world into the journal, then into the engine; its effects out again.

    queue -> journal (one write a group) -> acknowledge -> engine -> outbox -> publish

One thread owns journal, engine and outbox. The network thread only queues and the retrieval thread
only answers.
"""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from edge import logs
from edge.assembly import Assembly, assemble
from edge.checkpoint import Checkpoint, newest, save
from edge.config import password
from edge.errors import JournalError
from edge.journal import JournalWriter, Position, read_journal, segments
from edge.mqtt import Endpoint, Link, Will
from edge.outbox import Outbox
from edge.records import (
    MessageReceived,
    Note,
    Publish,
    RetrievalDone,
    Retrieve,
    ShellFault,
    Started,
    TickDue,
)
from edge.retrieve import Retriever
from edge.telemetry import Telemetry, rss_mb
from edge.wire import outgoing, topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.config import GatewayConfig
    from edge.mqtt import Incoming
    from edge.records import Effect, Stimulus

log = logging.getLogger("andon")

GROUP_MAX: Final = 5_000  # messages a group; at 50,000 a second the loop still ticks in time
GROUP_WAIT_S: Final = 0.02  # a message waits at most this long for its group to be written
FAULT_EXIT: Final = 70  # EX_SOFTWARE: a supervisor should restart us


class Gateway:
    """A running gateway. `run` returns the exit code."""

    def __init__(self, config: GatewayConfig) -> None:
        """Open everything. Raises AndonError, ModelError or KnowledgeError naming what to mend."""
        self._config = config
        self._assembly: Assembly = assemble(config)
        self._topics = topics.Topics(config.prefix, config.site)
        self._wake = threading.Event()
        self._stop = threading.Event()
        state = config.path(config.journal.dir)
        self._journal = JournalWriter(
            state / "journal",
            bytes_max=config.journal.bytes_max,
            days_max=config.journal.days_max,
            sync_s=config.journal.sync_s,
            strict=config.journal.strict,
        )
        self._outbox = Outbox(state / "outbox.sqlite")
        self._checkpoints = state / "checkpoints"
        self._answers: deque[RetrievalDone] = deque()
        self._retriever = Retriever(self._assembly.snapshot, self._answered)
        self._in_flight: dict[int, int] = {}  # publication id -> outbox row
        self._sent_row = 0
        self._reconnected = threading.Event()
        self._telemetry = Telemetry()
        self._health_due_s = self._checkpoint_due_s = 0.0
        self._journaled = self._journal.position
        self._link = Link(
            self._endpoint(),
            filters=[topics.subscription(s) for s in config.source]
            + [self._topics.command_filter]
            + ([topics.CLOCK_TOPIC] if config.clock == "plant" else []),
            queue_messages_max=config.mqtt.queue_messages_max,
            will=Will(topic=self._topics.status, payload=self._status(online=False)),
            on_connected=self._reconnected.set,
            wake=self._wake,
        )

    def stop(self) -> None:
        """Ask the loop to end; safe from a signal handler."""
        self._stop.set()
        self._wake.set()

    def run(self) -> int:
        """Restore, then loop until stopped. Returns 0, or FAULT_EXIT after an error of our own."""
        asked_again = self._restore()
        self._take([self._started()])
        self._carry_out(asked_again)
        self._link.start()
        gc.collect()
        gc.freeze()  # what is alive now stays; a full collection must not scan it in mid-tick
        code = 0
        try:
            self._loop()
        # the one supervising line: say it, keep what we have, let a supervisor restart us
        except Exception as error:
            log.exception("gateway_failed")
            self._say_fault(error)
            code = FAULT_EXIT
        self._close(clean=code == 0)
        return code

    # --- the loop ---

    def _loop(self) -> None:
        tick_s = self._config.engine.tick_ms / 1000
        tick_due_s = time.monotonic()
        while not self._stop.is_set():
            wait_s = max(0.0, min(tick_due_s - time.monotonic(), GROUP_WAIT_S))
            self._wake.wait(wait_s)
            self._wake.clear()
            self._take_messages()
            now_s = time.monotonic()
            if now_s >= tick_due_s:
                self._take([TickDue()])
                self._telemetry.ticked((time.monotonic() - now_s) * 1000)
                tick_due_s = max(tick_due_s + tick_s, now_s)
            self._deliver()
            self._housekeep(now_s)

    def _take_messages(self) -> None:
        messages = self._link.drain(GROUP_MAX)
        stimuli: list[Stimulus] = [
            MessageReceived(
                topic=m.topic,
                payload=m.payload,
                received_ns=m.received_ns,
                qos=m.qos,
                retain=m.retain,
                dup=m.dup,
            )
            for m in messages
        ]
        while self._answers:
            stimuli.append(self._answers.popleft())
        if stimuli:
            self._take(stimuli, messages)

    def _take(self, stimuli: Sequence[Stimulus], messages: Sequence[Incoming] = ()) -> None:
        """Journal a group, acknowledge it, then let the engine have it."""
        now_ns = time.time_ns()
        self._journaled = self._journal.append([(now_ns, stimulus) for stimulus in stimuli])
        self._link.ack(messages)
        for message in messages:
            self._telemetry.took((now_ns - message.received_ns) / 1e6)
        effects: list[Effect] = []
        for stimulus in stimuli:
            effects.extend(self._assembly.engine.handle(stimulus, now_ns=now_ns))
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        durable = [e for e in effects if isinstance(e, Publish) and e.key is not None]
        if durable:
            self._keep(durable)
        for effect in effects:
            if isinstance(effect, Publish):
                if effect.key is None:
                    self._link.publish(
                        effect.topic, effect.payload, qos=effect.qos, retain=effect.retain
                    )
            elif isinstance(effect, Retrieve):
                self._retriever.ask(effect, now_ns=self._assembly.engine.now_ns)
            else:
                logs.write(log, effect)

    def _keep(self, durable: Sequence[Publish]) -> None:
        self._journal.sync()  # what an alert follows from must not be younger than the alert
        for conflict in self._outbox.put(durable):
            logs.write(log, Note(name="outbox_conflict", level="error", fields={"key": conflict}))

    # --- out ---

    def _deliver(self) -> None:
        """Send what waits, once each connection; note what the broker has confirmed."""
        confirmed = self._link.confirmed()
        rows = [self._in_flight.pop(mid) for mid in confirmed if mid in self._in_flight]
        self._outbox.delivered(rows)
        if self._reconnected.is_set():
            self._reconnected.clear()
            # paho repeats what was in flight by itself; a second copy has the same bytes
            self._in_flight.clear()
            self._sent_row = 0
            self._link.publish(self._topics.status, self._status(online=True), qos=1, retain=True)
        if not self._link.connected:
            return
        for row in self._outbox.pending(after=self._sent_row):
            mid = self._link.publish(row.topic, row.payload, qos=row.qos, retain=row.retain)
            if mid is None:
                return
            self._in_flight[mid] = row.row
            self._sent_row = row.row

    def _housekeep(self, now_s: float) -> None:
        if now_s >= self._health_due_s:
            self._health_due_s = now_s + self._config.engine.health_publish_s
            self._link.publish(self._topics.health, self._health(), qos=0, retain=False)
        if now_s >= self._checkpoint_due_s:
            if self._checkpoint_due_s:
                self._checkpoint()
            self._checkpoint_due_s = now_s + self._config.journal.checkpoint_s

    def _checkpoint(self) -> None:
        self._journal.sync()
        checkpoint = Checkpoint(
            position=self._journaled,
            fingerprint=self._assembly.fingerprint,
            state=self._assembly.engine.state,
        )
        try:
            save(self._checkpoints, checkpoint)
        except JournalError as error:  # the journal alone still restores everything, only slower
            logs.write(
                log, Note(name="checkpoint_failed", level="error", fields={"cause": str(error)})
            )

    # --- start and end ---

    def _restore(self) -> list[Effect]:
        """Newest checkpoint, then the journal behind it.

        Returns retrievals that have to be asked again.
        """
        found, troubles = newest(self._checkpoints, fingerprint=self._assembly.fingerprint)
        for trouble in troubles:
            logs.write(
                log, Note(name="checkpoint_skipped", level="warning", fields={"cause": trouble})
            )
        after: Position | None = None
        if found is not None:
            self._assembly.restore(found.state)
            after = found.position
        open_questions: dict[str, Effect] = {}
        durable: list[Publish] = []
        replayed = 0
        directory = self._config.path(self._config.journal.dir) / "journal"
        if not segments(directory):
            return []
        for entry in read_journal(directory, after=after):
            replayed += 1
            if isinstance(entry.stimulus, RetrievalDone):
                open_questions.pop(entry.stimulus.alert_id, None)
            for effect in self._assembly.engine.handle(entry.stimulus, now_ns=entry.now_ns):
                if isinstance(effect, Publish) and effect.key is not None:
                    durable.append(effect)
                elif isinstance(effect, Retrieve):
                    open_questions[effect.alert_id] = effect
            if len(durable) >= GROUP_MAX:
                self._keep(durable)
                durable.clear()
        self._keep(durable)
        fields: dict[str, str | int | float] = {
            "stimuli": replayed,
            "from_checkpoint": int(found is not None),
        }
        logs.write(log, Note(name="restored", level="info", fields=fields))
        return list(open_questions.values())

    def _started(self) -> Started:
        return Started(
            version=self._assembly.version,
            bundle_sha256=self._assembly.bundle.sha256,
            snapshot_sha256=self._assembly.snapshot_sha256,
            settings_sha256=self._assembly.settings_sha256,
        )

    def _say_fault(self, error: Exception) -> None:
        """Publish our own failure past the engine: it may be the engine that failed."""
        fault = ShellFault(name="gateway_failed", detail=f"{type(error).__name__}: {error}"[:300])
        payload = outgoing.SystemPayload(
            active=1, name=fault.name, message=fault.detail, ts_ms=time.time_ns() // 1_000_000
        )
        topic = self._topics.alert("_gateway", "system")
        self._link.publish(topic, outgoing.encode(payload), qos=1, retain=True)

    def _close(self, *, clean: bool) -> None:
        if clean:
            self._take_messages()
            self._take([TickDue()])
            self._deliver()
            self._checkpoint()
        self._link.publish(self._topics.status, self._status(online=False), qos=1, retain=True)
        deadline_s = time.monotonic() + 2.0
        while self._in_flight and self._link.connected and time.monotonic() < deadline_s:
            self._wake.wait(0.05)
            self._deliver()
        self._link.stop()
        self._retriever.stop()
        self._journal.close()
        self._outbox.close()

    # --- what we say about ourselves ---

    def _answered(self, done: RetrievalDone) -> None:
        self._answers.append(done)
        self._wake.set()

    def _endpoint(self) -> Endpoint:
        mqtt = self._config.mqtt
        return Endpoint(
            host=mqtt.host,
            port=mqtt.port,
            client_id=mqtt.client_id,
            username=mqtt.username,
            password=password(mqtt, self._config.path("")),
            keepalive_s=mqtt.keepalive_s,
            tls_ca_file=mqtt.tls_ca_file,
        )

    def _status(self, *, online: bool) -> bytes:
        assembly = self._assembly
        payload = outgoing.StatusPayload(
            online=online,
            version=assembly.version,
            bundle=assembly.bundle.sha256,
            snapshot=assembly.snapshot_sha256,
            ts_ms=time.time_ns() // 1_000_000,
        )
        return outgoing.encode(payload)

    def _health(self) -> bytes:
        rate, lag_ms, tick_ms = self._telemetry.report()
        engine, link = self._assembly.engine, self._link.counts
        payload = outgoing.HealthPayload(
            ts_ms=time.time_ns() // 1_000_000,
            plant_ms=engine.now_ns // 1_000_000,
            uptime_s=round(time.monotonic() - self._telemetry.started_s, 1),
            messages_per_s=round(rate, 1),
            queue_depth=self._link.queue_depth,
            queue_depth_max=self._config.mqtt.queue_messages_max,
            lag_ms=lag_ms,
            tick_ms_max=round(tick_ms, 2),
            rss_mb=round(rss_mb(), 1),
            journal_mb=round(self._journal.bytes_kept() / 1e6, 1),
            outbox_pending=self._outbox.pending_count(),
            counts=engine.counts(),
            drops={
                "queue_full": link.dropped_queue_full,
                "outbox_conflict": self._outbox.conflicts_total,
                "journal_torn_bytes": self._journal.torn_bytes_total,
                "callback_error": link.callback_errors,
            },
            blind=engine.blind(),
        )
        return outgoing.encode(payload)


def run(config: GatewayConfig, *, log_level: str = "info", log_json: bool = False) -> int:
    """Run a gateway until SIGTERM or SIGINT. Returns the exit code."""
    logs.configure(level=log_level, as_json=log_json)
    gateway = Gateway(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: gateway.stop())
    return gateway.run()
