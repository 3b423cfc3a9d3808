"""What befalls the machine, the broker and the network of one seed, until all is calm."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.sim_gateway.disk import TROUBLES
from tests.sim_gateway.plant import NO_SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim_gateway.life import Life


PARTS: Final = (  # of the disk
    *("", "journal/", "outbox", "audit/", "checkpoints"),
    *("dead_letters", "docs/", "box.json", "fence.key"),
)
NO_BATTERY: Final = 0.15  # of the boxes that go by their own clock
UNAUDITED: Final = 0.2  # of them: what keeps alerts quiet cannot be written down then
FLOODED: Final = 0.1  # of the seeds: somebody never ceases to write to `fence`
WITHDRAWN: Final = 0.25  # of the seeds: the scope of what is suppressed is withdrawn
REPLACED: Final = 0.08  # of the seeds: another box takes over
RETAINS_NOTHING: Final = 0.06  # of the others: their broker
STORES_SELDOM: Final = 0.1  # of the seeds: the broker comes back with what it retained before


class Chaos:
    """Drawn once, at the beginning."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.fate, self.broker, self.disk = life.fate, life.broker, life.disk

    def draw(self, seed: int) -> None:
        """Plan all of it, and its end."""
        draw, broker = self.fate.draw, self.broker
        broker.network.delay_s = draw.choice((0.0005, 0.005, 0.05))
        broker.network.jitter_s = draw.choice((0.0, 0.02, 0.5))
        kinds: list[Callable[[], None]] = [
            broker.cut,
            self._cut_twice,
            lambda: broker.silence(draw.choice((1.0, 5.0, 15.0))),
            lambda: broker.restart(with_store=True, down_s=draw.random() * 10),
            lambda: broker.restart(with_store=False, down_s=draw.random() * 10),
            lambda: self._spell(broker, "refuses", value=True),
            lambda: self._spell(broker, "refuses_filters", value=True),
            lambda: self._spell(broker.network, "up", value=False),
            self._disk_fails,
            self._disk_fails,
            lambda: self._spell(self.disk, "slow", value=True),
            lambda: self.fate.time.step(
                draw.choice((-3600.0, -2.0, 1.5, 60.0)), drift=draw.choice((0.0, 1e-4, -0.01))
            ),
            lambda: setattr(self.life.shop, "bundle", 1 - self.life.shop.bundle),
            lambda: setattr(self.life.shop, "snapshot", draw.randrange(3)),
            self._thread_ends,
            self.life.stop,
            self._stops_on_a_slow_disk,
            self.life.rivals.disturb,
        ]
        for _ in range(int(draw.randrange(9) * 2 * self.life.rough)):
            self.fate.time.at(draw.random() * self.life.calm_s, self._told(draw.choice(kinds)))

        quiet = [one.begin_s for one in self.life.schedule.stretches if one.what == "calibrated"]
        if quiet and draw.random() < UNAUDITED:
            self.fate.time.at(draw.choice(quiet) - 2.0, self._told(self._trail_fails))
        replaced = draw.random() < REPLACED
        if replaced:
            self.fate.time.at(draw.randrange(5, self.life.calm_s), self.life.rivals.take_over)
        self._draw_battery(seed)
        self._draw_flood(seed)
        self.life.withdraws = random.Random(f"withdrawn {seed}").random() < WITHDRAWN
        self._draw_store(seed, replaced=replaced)
        self.fate.time.at(self.life.calm_s, self._heal)

    def _draw_battery(self, seed: int) -> None:
        """Some boxes have none: 1970 whenever the power comes, until a service sets the clock.

        Drawn apart, so that a seed is otherwise what it was.
        """
        apart = random.Random(f"battery {seed}")
        self.life.battery = apart.random() >= NO_BATTERY or self.life.config.clock != "wall"
        if self.life.battery:
            return
        self.life.witness.count("boxes without a battery")
        self.fate.time.forget()
        for _ in range(apart.randrange(4)):
            self.fate.time.at(apart.random() * self.life.calm_s, self._told(self.fate.time.steady))

    def _draw_flood(self, seed: int) -> None:
        """Drawn apart, likewise; it goes on when all else is calm."""
        apart = random.Random(f"flood {seed}")
        if apart.random() < FLOODED:
            self.life.witness.count("floods on fence")
            begin_s = apart.choice((0.0, apart.random() * self.life.calm_s))
            self.fate.time.at(begin_s, lambda: self.life.rivals.flood(apart))

    def withdraw(self) -> None:
        """What something is quiet for is in no snapshot any more; a process ends, or takes that."""
        self.life.shop.snapshot = NO_SCOPES
        if self.fate.draw.random() < 0.7:
            self.life.stop()

    def _draw_store(self, seed: int, *, replaced: bool) -> None:
        """What the broker retains, drawn apart as well.

        A box that was replaced hears of it in time only where something is retained.
        """
        apart = random.Random(f"store {seed}")
        if apart.random() < RETAINS_NOTHING and not replaced:
            self.life.witness.count("brokers that retain nothing")
            self.broker.keeps = False
        elif apart.random() < STORES_SELDOM:
            self.life.witness.count("brokers that store seldom")
            self.broker.store(apart.choice((3.0, 10.0, 40.0)))

    def _told(self, happens: Callable[[], None]) -> Callable[[], None]:
        def now() -> None:
            if self.fate.time.now_s <= self.life.calm_s:
                happens()

        return now

    def _cut_twice(self) -> None:
        """A broker that comes without what it knew, and breaks the connection at once."""
        self.broker.restart(with_store=False, down_s=0.0)
        self.fate.time.at(
            self.fate.time.now_s + 1.0 + self.fate.draw.random() * 0.3, self.broker.cut
        )

    def _spell(self, holder: object, name: str, *, value: bool) -> None:
        """Something is otherwise for a while."""
        setattr(holder, name, value)
        over_s = self.fate.time.now_s + self.fate.draw.random() * 20
        self.fate.time.at(over_s, lambda: self._over(holder, name, value=value))

    def _over(self, holder: object, name: str, *, value: bool) -> None:
        setattr(holder, name, not value)
        if name == "refuses_filters":
            self.broker.cut()  # an operator mends the rights, and lets it in anew

    def _disk_fails(self) -> None:
        """All of it or one part, for a few calls or for a while."""
        draw = self.fate.draw
        self.disk.trouble, self.disk.troubled = draw.choice(TROUBLES), draw.choice(PARTS)
        self.disk.failures_max = draw.choice((0, 0, 1, 2, 5))
        over_s = self.fate.time.now_s + draw.choice((0.05, 2.0, 10.0, 25.0))
        self.fate.time.at(over_s, lambda: setattr(self.disk, "trouble", 0))

    def _trail_fails(self) -> None:
        """Where it is written what keeps alerts quiet, and nowhere else."""
        draw = self.fate.draw
        self.disk.trouble, self.disk.troubled = draw.choice(TROUBLES), "audit/"
        self.disk.failures_max = 0
        over_s = self.fate.time.now_s + draw.choice((10.0, 25.0, 40.0))
        self.fate.time.at(over_s, lambda: setattr(self.disk, "trouble", 0))

    def _thread_ends(self) -> None:
        if self.life.mqtt.client is not None and self.life.mqtt.client.started:
            self.life.mqtt.client.thread_ended = True

    def _stops_on_a_slow_disk(self) -> None:
        self._spell(self.disk, "slow", value=True)
        self.fate.time.at(self.fate.time.now_s + self.fate.draw.random() * 6, self.life.stop)

    def _heal(self) -> None:
        """Nothing fails from here on."""
        broker = self.broker
        self.fate.spare()
        self.fate.time.steady()
        broker.network.delay_s, broker.network.jitter_s, broker.network.up = 0.001, 0.0, True
        broker.refuses, self.disk.trouble, self.disk.slow = False, 0, False
        if broker.refuses_filters:
            broker.refuses_filters = False
            broker.cut()
