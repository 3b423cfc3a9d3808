"""The loop: stimuli from the world into the journal, then into the engine; its effects out again.

    queue -> journal (one write a group) -> acknowledge -> engine -> outbox -> publish

One thread owns journal, engine and outbox. The network thread only queues and the retrieval thread
only answers. What is kept is in `durable`, how it is heard in `voice`, all that is outside in
`world`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING, Final

from edge import logs
from edge.boxes.identity import FENCED_EXIT, Fenced
from edge.boxes.retirement import Retirement
from edge.brokers.inbox import Inbox
from edge.brokers.lanes import Lanes
from edge.brokers.links import links_of
from edge.brokers.transport import Will
from edge.errors import AndonError
from edge.gateway.durable import Durable
from edge.gateway.faults import Faults
from edge.gateway.overload import Overload
from edge.gateway.pace import Pace
from edge.gateway.rounds import Rounds
from edge.gateway.standing import otherwise
from edge.gateway.telemetry import Telemetry, status
from edge.gateway.voice import Voice
from edge.gateway.world import REAL
from edge.records import (
    DeadLetter,
    Note,
    Publish,
    RetrievalDone,
    Retrieve,
    ShellFault,
    TextTold,
    TickDue,
)
from edge.storage.dead_letters import DeadLetters
from edge.storage.restore import RestoreBrokenOffError, started
from edge.wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.assembly.assembly import Assembly
    from edge.brokers.inbox import Incoming
    from edge.configuration.config import GatewayConfig
    from edge.gateway.world import World
    from edge.records import Effect, Stimulus

log = logging.getLogger("andon")

# Together with what threads, connection and disk may take, a stop is to be over in 5 s.
DRAIN_S_MAX: Final = 0.8  # for what has come when we are asked to stop
DELIVER_S_MAX: Final = 1.5  # for what has been decided by then,
DELIVERED_S_MAX: Final = 3.3  # from when we were asked on
JUDGE_S: Final = 1.0  # how often we look for faults of our own
FAULT_CONNECT_S_MAX: Final = 5.0  # for saying that the start failed
CHARS_MAX: Final = 500  # of a stimulus in the log; the journal has all of it
FAULT: Final = "gateway_failed"
FAULT_EXIT: Final = 70  # EX_SOFTWARE: a supervisor should restart us


class Gateway:
    """A running gateway. `run` returns the exit code."""

    def __init__(self, config: GatewayConfig, world: World = REAL) -> None:
        """Open everything. Raises AndonError, ModelError or KnowledgeError naming what to mend."""
        self._config, self._world = config, world
        world.starts()
        self._now_s = world.clock.monotonic_s
        self._assembly: Assembly = world.assembled(config)
        self._topics = topics.Topics(config.prefix, config.site)
        self._wake = threading.Event()
        # Not an Event: a signal handler that meets its lock held by the loop waits for itself.
        self._stopping, self._stop_s = False, 0.0
        self._faults = Faults(world.clock)
        self._fence = world.fence(config, self._topics)
        self._generation = self._fence.box.generation
        told, box = self._conflict, self._generation
        self._durable = Durable(config, world, faults=self._faults, conflict=told, generation=box)
        state = config.path(config.journal.dir)
        self._answers: deque[RetrievalDone] = deque()
        self._retriever = world.retriever(self._assembly, self._answered)
        self._telemetry = Telemetry(clock=world.clock)
        self._pace = Pace(config.engine.tick_ms, clock=world.clock)
        self.upkeep = world.upkeep(config, self._assembly, self._retriever, self._telemetry)
        self._watchdog = world.watchdog(config)
        self._found: dict[str, str] = {}  # by a restart, of the journal
        self._health_due_s = self._judge_due_s = 0.0
        reconnected = threading.Event()
        lanes = Lanes(config.settings, known=(m.asset for m in self._assembly.bundle.assets))
        inbox = Inbox(messages_max=config.mqtt.queue_messages_max, lane_of=lanes.of)
        gone = status(self._assembly, online=False, clock=world.clock)
        self._link = links_of(
            config,
            will=Will(topic=self._topics.status, payload=gone),
            on_connected=reconnected.set,
            wake=self._wake,
            own=(self._topics.alerts, self._topics.group("")),
            transport=world.transport,
            clock=world.clock,
            inbox=inbox,
            guard=self._fence,
        )
        by_wall, longest_ms = config.clock == "wall", config.mqtt.queue_ms_max
        self._overload = Overload(inbox, lanes, queue_ms_max=longest_ms, wall=by_wall)
        letters = state / "dead_letters"
        self._letters = DeadLetters(letters, patience=world.patience(), disk=world.disk)
        self._voice = Voice(
            self._link,
            self._durable.outbox,
            assembly=self._assembly,
            topics=self._topics,
            clock=world.clock,
            reconnected=reconnected,
            loop=self,
            fence=self._fence,
            outputs=world.outputs(config, self._assembly),
        )
        self._rounds = Rounds(
            self._faults,
            link=self._link,
            durable=self._durable,
            overload=self._overload,
            retirement=Retirement(state, self._topics, self._durable.outbox),
            cleared=self._voice.cleared,
            fence=self._fence,
            upkeep=self.upkeep,
            letters=self._letters,
            telemetry=self._telemetry,
            pace=self._pace,
            retriever=self._retriever,
        )

    def stop(self) -> None:
        """Ask the loop to end, at its next look; safe from a signal handler."""
        if not self._stopping:
            self._stop_s = self._now_s()
            self._durable.hurry()
        self._stopping = True

    def run(self) -> int:
        """Restore, then loop until stopped. Returns 0, or FAULT_EXIT after an error of our own."""
        code = 0
        try:
            asked_again = self._restore()
            # heard once there is a connection
            self._voice.say_of_us(ShellFault(name=FAULT, detail="it runs", active=False))
            found = [told for fault in self._found.items() for told in self._faults.judge(*fault)]
            began = started(self._assembly, generation=self._generation)
            begins = [*self._durable.begins(self._assembly), began]
            self._take([*begins, *found, *self.upkeep.commissioning.look()])
            self._say_otherwise()
            self._carry_out(asked_again)
            self._link.start()
            self._world.settled()
            self._watchdog.ready()
            self._loop()
            self._finish()
        except Fenced as error:
            self.note("fenced", "error", cause=str(error))
            code = FENCED_EXIT
        except RestoreBrokenOffError:  # the journal has all of it
            self.note("stopped", "info", doing="nothing yet: it was restoring")
        # the one supervising line: say it, keep what we have, let a supervisor restart us
        except Exception as error:
            if isinstance(error, AndonError):  # the world's fault: the message says it all
                self.note(FAULT, "error", cause=str(error))
            else:
                log.exception(FAULT)
            self._say_fault(error)
            code = FAULT_EXIT
        try:
            self._close()
        except AndonError as error:
            self.note(FAULT, "error", cause=str(error))
            code = FAULT_EXIT
        return code

    # --- the loop ---

    def _loop(self) -> None:
        pace, ticked = self._pace.started(), True
        while not self._stopping:
            self._overload.waited(pace.rest(self._world, self._wake, self._link))
            # A tick that is due goes first; between two of them what came is taken anyway.
            if ticked or pace.left_s > 0.0:
                self._take_messages(pace.turn_s)
            if ticked := pace.left_s <= 0.0:
                pace.begin()
                self._take([TickDue()])
                self._telemetry.ticked(*pace.end())
            self._voice.deliver()
            if ticked or pace.eases:
                self._housekeep(self._now_s())
            self._watchdog.turn(self._link, ticks=self._telemetry.ticks)

    def _take_messages(self, seconds: float = inf) -> int:
        """Take a group of what came, in so many seconds as far as known; returns how many."""
        begun_s = self._now_s()
        messages = self._link.drain(self._overload.within(seconds))
        stimuli: list[Stimulus] = [*self._durable.fresh(messages, self._telemetry)]
        while self._answers:
            stimuli.append(self._answers.popleft())
        if stimuli or messages:
            self._take(stimuli, messages)
            self._overload.turned(len(messages), self._now_s() - begun_s)
        if messages:
            self._pace.came()
        return len(messages)

    def _take(self, stimuli: Sequence[Stimulus], messages: Sequence[Incoming] = ()) -> None:
        """Journal a group, acknowledge it, then let the engine have it.

        While the journal does not take it, the engine has it first: a process that is killed
        between the two gets it again.
        """
        now_ns, news = self._world.clock.wall_ns(), self._durable.lapse.has_news
        group = self._durable.take(stimuli, now_ns=now_ns)
        written = not self._durable.lapse.why
        if written:
            self._link.ack(messages)
        self._telemetry.took([m.received_ns for m in messages], now_ns=now_ns)
        self._give(group, now_ns=now_ns)
        if not written:
            self._link.ack(messages)
        if self._durable.lapse.has_news:
            self._take([])
        elif news and self._durable.held_back:  # now it leaps
            self._durable.held_back = False
            self._say_otherwise()

    def _give(self, stimuli: Sequence[Stimulus], *, now_ns: int) -> None:
        with self._durable.due:
            try:
                effects = self._assembly.engine.handle_group(stimuli, now_ns=now_ns)
            except Exception:
                which = repr(self._assembly.engine.handling)
                self.note("engine_failed", "error", stimulus=which[:CHARS_MAX])
                raise
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        self._durable.keep(effects)
        for effect in effects:
            if isinstance(effect, Publish):
                if effect.key is None:
                    self._voice.publish(effect)
            elif isinstance(effect, Retrieve):
                self._retriever.ask(effect, now_ns=self._assembly.engine.now_ns)
            elif isinstance(effect, TextTold):
                self.upkeep.notebook.write([effect])
            elif isinstance(effect, DeadLetter):
                self._letters.put(effect)
            elif isinstance(effect, Note):
                logs.write(log, effect)

    def _housekeep(self, now_s: float) -> None:
        if now_s >= self._judge_due_s:
            self._judge_due_s = now_s + JUDGE_S
            state, wall_ns = self._assembly.engine.outline, self._world.clock.wall_ns()
            if told := self._rounds.look(now_s, wall_ns=wall_ns, state=state):
                self._take(told)
            self._letters.turn(now_s)
            self._look_at_disk()
            for swapped in self.upkeep.look(now_s):
                self._take([swapped])
                logs.write(log, self.upkeep.taken(swapped))
                self._voice.say(online=True)
        heard = now_s >= self._health_due_s and self._voice.listened  # else nobody would hear it
        if heard and self._rounds.gathered(self._assembly):
            self._health_due_s = now_s + self._config.engine.health_publish_s
            self._voice.how_we_are(self._rounds, self._config.mqtt.queue_messages_max)
        if not self._durable.go_on(self._pace) and self._durable.due.now(now_s, self._pace.suits):
            self._checkpoint()  # the one that is being copied comes first, however soon it is due
        self._rounds.collect(now_s)

    def _checkpoint(self, *, last: bool = False) -> None:
        # the journal may forget what a checkpoint covers
        self._durable.checkpoint(self._assembly, self._pace, self.upkeep.notebook.sync, last=last)

    def _look_at_disk(self, *, at_once: bool = False) -> None:
        """Whether one that failed works again; what it has missed goes there then."""
        texts, moved = self.upkeep.notebook.sync, self._voice.moved
        told = self._durable.look(self._assembly, moved=moved, texts=texts, at_once=at_once)
        self._give(told, now_ns=self._world.clock.wall_ns())
        if self._durable.lapse.has_news:
            self._take([])

    # --- start and end ---

    def _restore(self) -> tuple[Effect, ...]:
        """Go on where the journal ends; returns retrievals that have to be asked again."""
        restored = self._durable.restore(self._assembly, go_on=lambda: not self._stopping)
        self._voice.retained |= restored.retained
        for note in restored.notes:
            logs.write(log, note)
        self.upkeep.notebook.write(restored.texts)
        self._found = restored.faults
        from_checkpoint = int(restored.from_checkpoint)
        self.note("restored", "info", stimuli=restored.stimuli, from_checkpoint=from_checkpoint)
        return restored.asked_again

    def _say_otherwise(self, retained: Mapping[str, bytes] | None = None) -> None:
        """Where a topic (at the broker, else in our outbox) has another word, ours is said anew."""
        engine, outbox, leap = self._assembly.engine, self._durable.outbox, self._world.leap
        if stands := otherwise(engine, outbox, self._topics, leap=leap, retained=retained):
            self.note("alerts_decided_anew", "warning", count=len(stands))
            self._take(stands)

    def _say_fault(self, error: Exception) -> None:
        """Publish our own failure past the engine: it may be the engine that failed."""
        fault = ShellFault(name=FAULT, detail=f"{type(error).__name__}: {error}"[:300])
        if not self._link.connected:
            self._link.start()  # it was the start that failed
            self._wait(self._voice.admitted, FAULT_CONNECT_S_MAX)
        self._voice.say_of_us(fault)

    def _finish(self) -> None:
        """A clean stop: take what is here, deliver it, and keep the state."""
        if (
            self.upkeep.successor is None
        ):  # a supervisor would take its word for it, and wait for the end
            self._watchdog.stopping("keeping the state, delivering what waits")
        while self._take_messages() and self._now_s() < self._stop_s + DRAIN_S_MAX:
            pass
        state, now_ns = self._assembly.engine.outline, self._world.clock.wall_ns()
        told = self._rounds.load(self._now_s(), wall_ns=now_ns, state=state)
        self._take([*told, TickDue()])
        self._voice.deliver()
        self._look_at_disk(at_once=True)
        self.upkeep.hand_over()
        self._checkpoint(last=True)

        def delivered() -> bool:
            self._voice.deliver()
            return not (self._durable.outbox.pending_count() and self._link.connected)

        self._wait(delivered, DELIVER_S_MAX)
        self._look_at_disk(at_once=True)

    def _close(self) -> None:
        """Say goodbye and close everything, whatever of it has failed already."""
        if self.upkeep.successor is None:
            self._voice.say(online=False)
        self._durable.hurry(closes=True)
        with ExitStack() as stack:
            stack.callback(self._watchdog.close)
            self._durable.close(stack)
            stack.callback(self._retriever.stop)
            stack.callback(self.upkeep.stop)
            stack.callback(self._letters.stop)
            stack.callback(self._voice.outputs.close)
            stack.callback(self._note_shed)
            stack.callback(self._link.stop)

    def _note_shed(self) -> None:
        """What was given up since the last look, for the next process: nobody else knows of it."""
        if told := self._overload.untold():
            self._durable.take(told, now_ns=self._world.clock.wall_ns())

    def _wait(self, done: Callable[[], bool], seconds_max: float) -> None:
        """Until then; less where we are asked to stop, also meanwhile."""
        deadline_s = self._now_s() + seconds_max
        while not done() and self._now_s() < deadline_s:
            if self._stopping:
                deadline_s = min(deadline_s, self._stop_s + DELIVERED_S_MAX)
            self._world.wait(self._wake, 0.05)
            self._wake.clear()

    # --- what the voice tells us, and what we say about ourselves ---

    def note(self, name: str, level: str, **fields: str | float) -> None:
        """Write to the log."""
        logs.write(log, Note(name=name, level=level, fields=dict(fields)))

    def new_session(self) -> None:
        """The broker has forgotten what it sent: nothing of it comes again."""
        self._durable.new_session()

    def read_back(self, retained: Mapping[str, bytes]) -> None:
        """Where the broker holds another word of an alert than ours, ours is said anew."""
        self._say_otherwise()  # what we inherited
        self._say_otherwise(retained)

    def _conflict(self, key: str) -> None:
        self.note("outbox_conflict", "error", key=key)

    def _answered(self, done: RetrievalDone) -> None:
        self._answers.append(done)
        self._wake.set()
