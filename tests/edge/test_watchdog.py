"""What a supervisor is told, with a real datagram socket and a clock that stands where we want."""

from __future__ import annotations

from dataclasses import dataclass

from edge.gateway.watchdog import LOOK_S_MAX, Watchdog
from edge.storage.disk import Clock
from tests.broker.supervisor import FED, Supervisor


class Still(Clock):
    """A clock that moves by hand."""

    now_s = 1000.0

    def monotonic_s(self) -> float:
        """The time that was set."""
        return self.now_s


@dataclass(slots=True)
class Line:
    """A connection as a test wants it."""

    alive: bool = True
    connected: bool = True
    heard_total: int = 0


def watchdog(supervisor: Supervisor, clock: Clock) -> Watchdog:
    """One that hears of `supervisor` as a process does."""
    return Watchdog.of(supervisor.environment, keepalive_s=30, tick_ms=100, clock=clock)


def test_it_is_fed_only_while_all_of_it_works() -> None:
    """Each thing that fails ends the feeding with its name, and its return resumes it."""
    clock, line = Still(), Line()
    with Supervisor(watchdog_s=8.0) as supervisor:
        dog = watchdog(supervisor, clock)
        ticks = 0

        def looks(*, seconds: int, tick: bool = True, hears: bool = True) -> list[str]:
            nonlocal ticks
            before = len(supervisor.heard())
            for _ in range(seconds):
                clock.now_s += 1.0
                ticks += tick
                line.heard_total += hears
                dog.turn(line, ticks=ticks)
                supervisor.heard()  # a full socket takes no more
            return supervisor.heard()[before:]

        dog.ready()
        assert looks(seconds=20) == ["READY=1", "STATUS=running", *[FED] * 10][1:]
        line.connected = False
        assert looks(seconds=20) == ["STATUS=not fed: no broker"]
        line.connected = True
        assert looks(seconds=2) == ["STATUS=running", FED]
        line.alive = False
        assert looks(seconds=20) == ["STATUS=not fed: the network thread has ended"]
        line.alive = True
        assert looks(seconds=2) == ["STATUS=running", FED]
        silent = looks(seconds=100, hears=False)
        assert silent.count(FED) in {22, 23}, "45 s without a byte, and no longer"
        assert silent[-1] == "STATUS=not fed: nothing came from the broker for more than 45 s"
        assert looks(seconds=2) == ["STATUS=running", FED]
        stuck = looks(seconds=20, tick=False)
        assert stuck[-1] == f"STATUS=not fed: no tick for more than {LOOK_S_MAX:g} s"
        assert looks(seconds=2) == ["STATUS=running", FED]
        dog.stopping("enough")
        assert supervisor.heard()[-2:] == ["STOPPING=1", "STATUS=enough"]
        dog.close()


def test_what_a_full_socket_did_not_take_is_said_again() -> None:
    """A supervisor that is slow at the start must hear that we are ready."""
    clock, line = Still(), Line()
    with Supervisor(watchdog_s=8.0) as supervisor:
        other = watchdog(supervisor, clock)
        for _ in range(1000):
            other.stopping("noise")
        dog = watchdog(supervisor, clock)
        dog.ready()
        assert "READY=1" not in supervisor.heard()
        dog.turn(line, ticks=1)
        assert supervisor.heard()[-3:] == ["READY=1", "STATUS=running", FED]
        other.close()
        dog.close()


def test_without_a_supervisor_and_with_one_that_is_gone_nothing_happens() -> None:
    """No socket, a socket of nobody, and a watchdog that was meant for another process."""
    clock, line = Still(), Line()
    alone = Watchdog.of({}, keepalive_s=30, tick_ms=100, clock=clock)
    alone.ready()
    alone.turn(line, ticks=1)
    assert alone.fed_total == 0
    with Supervisor(watchdog_s=4.0) as supervisor:
        environment = dict(supervisor.environment)
        other = environment | {"WATCHDOG_PID": "1"}
        dog = Watchdog.of(other, keepalive_s=30, tick_ms=100, clock=clock)
        dog.turn(line, ticks=1)
        assert supervisor.heard() == ["STATUS=running", FED], "told, if only for the status"
        dog.close()
    gone = Watchdog.of(environment, keepalive_s=30, tick_ms=100, clock=clock)
    gone.ready()
    gone.turn(line, ticks=1)
    gone.close()
