"""The loop: stimuli from the world into the journal, then into the engine; its effects out again.

    queue -> journal (one write a group) -> acknowledge -> engine -> outbox -> publish

One thread owns journal, engine and outbox. The network thread only queues and the retrieval thread
only answers.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from edge.audit.trail import must_stay, trail_of
from edge.boxes.fencing import Fence
from edge.boxes.identity import FENCED_EXIT, Fenced, box_of
from edge.boxes.retirement import Retirement, still_said
from edge.bundles.watch import assembled
from edge.errors import AndonError, JournalError
from edge.gateway import logs
from edge.gateway.delivery import Delivery
from edge.gateway.faults import Faults
from edge.gateway.link import Link, Will, endpoint_of
from edge.gateway.mqtt import BrokerError
from edge.gateway.retrieve import Retriever
from edge.gateway.telemetry import Telemetry, health, status, system_fault
from edge.gateway.upkeep import Upkeep
from edge.records import (
    MessageReceived,
    Note,
    Publish,
    RetrievalDone,
    Retrieve,
    ShellFault,
    TextTold,
    TickDue,
)
from edge.samples.waveforms import block_topics
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal import JournalWriter
from edge.storage.outbox import Outbox
from edge.storage.restore import otherwise, restore, started
from edge.wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.configuration.config import GatewayConfig
    from edge.gateway.assembly import Assembly
    from edge.gateway.inbox import Incoming
    from edge.records import Effect, Stimulus

log = logging.getLogger("andon")

GROUP_MAX: Final = 1_000  # messages a group; behind a backlog of small ones the loop still ticks
IDLE_S: Final = 0.02  # the loop looks up at least this often
# A message waits so long for others: one write and one turn for all. Short, because a broker as it
# is installed sends 20 messages and then waits for their acknowledgement.
GROUP_WAIT_S: Final = 0.002
DRAIN_S_MAX: Final = 1.0  # for what has come when we are asked to stop
DELIVER_S_MAX: Final = 2.0  # for what has been decided by then
JUDGE_S: Final = 1.0  # how often we look for faults of our own
ALONE_S: Final = 3.0  # without a broker, until we say so
ALONE_AGAIN_S: Final = 300.0
FAULT_CONNECT_S_MAX: Final = 5.0  # for saying that the start failed
STIMULUS_CHARS_MAX: Final = 500  # of a stimulus in the log; the journal has all of it
FAULT: Final = "gateway_failed"
FAULT_EXIT: Final = 70  # EX_SOFTWARE: a supervisor should restart us


class Gateway:
    """A running gateway. `run` returns the exit code."""

    def __init__(self, config: GatewayConfig) -> None:
        """Open everything. Raises AndonError, ModelError or KnowledgeError naming what to mend."""
        self._config = config
        self._assembly: Assembly = assembled(config)
        self._topics = topics.Topics(config.prefix, config.site)
        self._wake = threading.Event()
        # Not an Event: a signal handler runs in the middle of whatever the loop does, also while it
        # holds the lock of one, and would wait for itself.
        self._stopping = False
        state = config.path(config.journal.dir)
        self._fence = Fence(self._topics, box_of(state), state)
        self._journal = JournalWriter(
            state / "journal",
            bytes_max=config.journal.bytes_max,
            days_max=config.journal.days_max,
            sync_s=config.journal.sync_s,
            strict=config.journal.strict,
        )
        self._outbox, self._audit = Outbox(state / "outbox.sqlite"), trail_of(config)
        self._retirement = Retirement(state, self._topics, self._outbox)
        self._checkpoints = state / "checkpoints"
        self._answers: deque[RetrievalDone] = deque()
        self._retriever = Retriever(self._assembly.snapshot, self._answered)
        self._telemetry = Telemetry()
        self._upkeep = Upkeep(config, self._assembly, self._retriever, self._telemetry)
        self._retained: dict[str, Publish] = {}  # newest lists of jobs, for the next connection
        self._reconnected = threading.Event()
        self._faults = Faults()
        self._checkpoint_trouble = self._journal_gap = ""
        self._was_connected = False
        self._health_due_s = self._checkpoint_due_s = self._judge_due_s = 0.0
        self._alone_due_s = time.monotonic() + ALONE_S
        self._broker = f"{config.mqtt.host}:{config.mqtt.port}"
        self._journaled = self._journal.position
        self._link = Link(
            endpoint_of(config),
            filters=[*map(topics.subscription, config.source), *block_topics(config.asset)]
            + [self._topics.command_filter]
            + ([topics.CLOCK_TOPIC] if config.clock == "plant" else []),
            queue_messages_max=config.mqtt.queue_messages_max,
            will=Will(topic=self._topics.status, payload=status(self._assembly, online=False)),
            on_connected=self._reconnected.set,
            wake=self._wake,
            guard=self._fence,
        )
        self._delivery = Delivery(self._outbox, self._link)

    def stop(self) -> None:
        """Ask the loop to end, at its next look; safe from a signal handler."""
        self._stopping = True

    def run(self) -> int:
        """Restore, then loop until stopped. Returns 0, or FAULT_EXIT after an error of our own."""
        code = 0
        try:
            asked_again = self._restore()
            runs = ShellFault(name=FAULT, detail="it runs", active=False)
            self._publish(system_fault(runs, self._topics))  # heard once there is a connection
            gap = self._faults.judge("journal_gap", self._journal_gap)
            began = started(self._assembly, generation=self._fence.box.generation)
            self._take([began, *gap, *self._upkeep.commissioning.look()])
            self._say_otherwise()
            self._carry_out(asked_again)
            self._link.start()
            gc.collect()
            gc.freeze()  # what is alive now stays; a full collection must not scan it in mid-tick
            self._loop()
            self._finish()
        except Fenced as error:
            self._note("fenced", "error", cause=str(error))
            code = FENCED_EXIT
        # the one supervising line: say it, keep what we have, let a supervisor restart us
        except Exception as error:
            if isinstance(error, AndonError):  # the world's fault: the message says it all
                self._note(FAULT, "error", cause=str(error))
            else:
                log.exception(FAULT)
            self._say_fault(error)
            code = FAULT_EXIT
        try:
            self._close()
        except AndonError as error:
            self._note(FAULT, "error", cause=str(error))
            code = FAULT_EXIT
        return code

    # --- the loop ---

    def _loop(self) -> None:
        tick_s = self._config.engine.tick_ms / 1000
        tick_due_s = time.monotonic()
        while not self._stopping:
            wait_s = max(0.0, min(tick_due_s - time.monotonic(), IDLE_S))
            if self._wake.wait(wait_s) and self._link.queue_depth < GROUP_MAX:
                time.sleep(GROUP_WAIT_S)
            self._wake.clear()
            self._take_messages()
            now_s = time.monotonic()
            if now_s >= tick_due_s:
                self._take([TickDue()])
                self._telemetry.ticked((time.monotonic() - now_s) * 1000)
                tick_due_s = max(tick_due_s + tick_s, now_s)
            self._deliver()
            self._housekeep(now_s)

    def _take_messages(self) -> int:
        """Take a group of what has come, and answers; returns how many messages."""
        messages = self._link.drain(GROUP_MAX)
        stimuli: list[Stimulus] = [
            MessageReceived(
                topic=m.topic, payload=m.payload, received_ns=m.received_ns,
                qos=m.qos, retain=m.retain, dup=m.dup,
            )
            for m in messages
        ]  # fmt: skip
        while self._answers:
            stimuli.append(self._answers.popleft())
        if stimuli:
            self._take(stimuli, messages)
        return len(messages)

    def _take(self, stimuli: Sequence[Stimulus], messages: Sequence[Incoming] = ()) -> None:
        """Journal a group, acknowledge it, then let the engine have it."""
        now_ns = time.time_ns()
        self._journaled = self._journal.append([(now_ns, stimulus) for stimulus in stimuli])
        self._link.ack(messages)
        for message in messages:
            self._telemetry.took((now_ns - message.received_ns) / 1e6)
        effects: list[Effect] = []
        for stimulus in stimuli:
            try:
                effects.extend(self._assembly.engine.handle(stimulus, now_ns=now_ns))
            except Exception:
                self._note("engine_failed", "error", stimulus=repr(stimulus)[:STIMULUS_CHARS_MAX])
                raise
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        self._keep(effects)
        for effect in effects:
            if isinstance(effect, Publish):
                if effect.key is None:
                    self._publish(effect)
            elif isinstance(effect, Retrieve):
                self._retriever.ask(effect, now_ns=self._assembly.engine.now_ns)
            elif isinstance(effect, TextTold):
                self._upkeep.notebook.write([effect])
            elif isinstance(effect, Note):
                logs.write(log, effect)

    def _say(self, *, online: bool) -> None:
        payload = status(self._assembly, online=online)
        self._link.publish(self._topics.status, payload, qos=1, retain=True)

    def _publish(self, message: Publish) -> None:
        """Send what may be lost with the connection; what is retained is said again after it."""
        if message.retain:
            self._retained[message.topic] = message
        self._link.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)

    def _keep(self, effects: Sequence[Effect]) -> None:
        durable, audited = must_stay(effects)
        if durable or audited:
            self._journal.sync()  # what an alert follows from must not be younger than the alert
            self._audit.write(audited)
            for conflict in self._outbox.put(durable):
                self._note("outbox_conflict", "error", key=conflict)

    # --- out ---

    def _deliver(self) -> None:
        """Send what waits; after a connection, what is retained comes first."""
        if not self._link.alive:
            raise BrokerError("the network thread has ended, nothing would be heard; restart")
        if self._fence.turn(self._link, self._outbox.path):
            self._say_otherwise()
        if self._link.connected != self._was_connected:
            self._was_connected = not self._was_connected
            said = ("connected", "info") if self._was_connected else ("disconnected", "warning")
            self._note(*said, to=self._broker)
            self._alone_due_s = time.monotonic() + ALONE_S
        if self._reconnected.is_set() and self._link.connected:
            self._reconnected.clear()
            self._say(online=True)
            for message in still_said(self._retained.values(), self._topics, self._assembly.bundle):
                self._publish(message)
            # a broker without our session, or without our claim, may have lost more than that
            if not self._link.resumed or self._fence.disturbed:
                self._delivery.say_again()
        self._delivery.turn()

    def _housekeep(self, now_s: float) -> None:
        if now_s >= self._judge_due_s:
            self._judge_due_s = now_s + JUDGE_S
            self._keep(self._retirement.look())
            found = self._faults.look(self._link, self._outbox, checkpoint=self._checkpoint_trouble)
            found += self._faults.judge("retired_unread", self._retirement.trouble)
            if told := [*found, *self._upkeep.judge(self._faults)]:
                self._take(told)
            for swapped in self._upkeep.look(now_s):
                self._take([swapped])
                logs.write(log, self._upkeep.taken(swapped))
                self._say(online=True)
        if not self._was_connected and now_s >= self._alone_due_s:
            self._alone_due_s = now_s + ALONE_AGAIN_S
            self._note("no_broker", "warning", to=self._broker, doing="trying again and again")
        if now_s >= self._health_due_s:
            self._health_due_s = now_s + self._config.engine.health_publish_s
            self._link.publish(self._topics.health, self._health(), qos=0, retain=False)
        if now_s >= self._checkpoint_due_s:
            if self._checkpoint_due_s:
                self._checkpoint()
            self._checkpoint_due_s = now_s + self._config.journal.checkpoint_s

    def _checkpoint(self) -> None:
        self._journal.sync()
        self._upkeep.notebook.sync()
        checkpoint = Checkpoint(
            position=self._journaled,
            fingerprint=self._assembly.fingerprint,
            state=self._assembly.engine.state,
        )
        try:
            save(self._checkpoints, checkpoint)
        except JournalError as error:  # the journal alone still restores everything, only slower
            self._checkpoint_trouble = str(error)
            return
        self._checkpoint_trouble = ""
        self._outbox.covered()

    # --- start and end ---

    def _restore(self) -> tuple[Effect, ...]:
        """Go on where the journal ends; returns retrievals that have to be asked again."""
        restored = restore(
            self._assembly,
            journal=self._config.path(self._config.journal.dir) / "journal",
            checkpoints=self._checkpoints,
            keep=self._keep,
            audit=self._audit.write,
        )
        self._retained |= restored.retained
        for note in restored.notes:
            logs.write(log, note)
        self._upkeep.notebook.write(restored.texts)
        self._journal_gap = restored.gap
        from_checkpoint = int(restored.from_checkpoint)
        self._note("restored", "info", stimuli=restored.stimuli, from_checkpoint=from_checkpoint)
        return restored.asked_again

    def _say_otherwise(self) -> None:
        """Where an alert's topic does not hold what we say, it gets a later revision."""
        if stands := otherwise(self._assembly.engine, self._outbox, self._topics):
            self._note("alerts_decided_anew", "warning", count=len(stands))
            self._take(stands)

    def _say_fault(self, error: Exception) -> None:
        """Publish our own failure past the engine: it may be the engine that failed."""
        fault = ShellFault(name=FAULT, detail=f"{type(error).__name__}: {error}"[:300])
        if not self._link.connected:
            self._link.start()  # it was the start that failed
            self._wait(lambda: self._fence.admits(self._link), FAULT_CONNECT_S_MAX)
        self._publish(system_fault(fault, self._topics))

    def _finish(self) -> None:
        """A clean stop: take what is here, deliver it, and keep the state."""
        deadline_s = time.monotonic() + DRAIN_S_MAX
        while self._take_messages() and time.monotonic() < deadline_s:
            pass
        self._take([TickDue()])
        self._deliver()
        self._checkpoint()

        def delivered() -> bool:
            self._deliver()
            return not (self._outbox.pending_count() and self._link.connected)

        self._wait(delivered, DELIVER_S_MAX)

    def _close(self) -> None:
        """Say goodbye and close everything, whatever of it has failed already."""
        self._say(online=False)
        with ExitStack() as stack:
            stack.callback(self._audit.close)
            stack.callback(self._outbox.close)
            stack.callback(self._journal.close)
            stack.callback(self._retriever.stop)
            stack.callback(self._upkeep.stop)
            stack.callback(self._link.stop)

    def _wait(self, done: Callable[[], bool], seconds_max: float) -> None:
        deadline_s = time.monotonic() + seconds_max
        while not done() and time.monotonic() < deadline_s:
            self._wake.wait(0.05)
            self._wake.clear()

    # --- what we say about ourselves ---

    @staticmethod
    def _note(name: str, level: str, **fields: str | int) -> None:
        logs.write(log, Note(name=name, level=level, fields=dict(fields)))

    def _answered(self, done: RetrievalDone) -> None:
        self._answers.append(done)
        self._wake.set()

    def _health(self) -> bytes:
        return health(
            self._telemetry,
            engine=self._assembly.engine,
            link=self._link,
            journal=self._journal,
            outbox=self._outbox,
            faults=self._faults,
            queue_depth_max=self._config.mqtt.queue_messages_max,
            snapshot=self._assembly.snapshot_sha256,
        )
