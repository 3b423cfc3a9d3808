"""What people say on the page: a command on their own topic, and what became of it.

One command of a person is under way at a time, so that an answer belongs to what was asked last;
an answer that does not come is no success.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.errors import UNREADABLE, AndonError
from edge.wire.commands import BODIES, EXAMPLES
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.wire.outgoing import ResultPayload
    from edge.wire.topics import Topics

ANSWER_S_MAX: Final = 6.0
WAITING_MAX: Final = 200  # people who have a command under way


class SayingError(AndonError):
    """A command that is not sent, or was not answered; status: of HTTP."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Sayings:
    """Commands of the people on the page."""

    def __init__(self, topics: Topics, say: Callable[[str, bytes], bool]) -> None:
        """say: publishes; whether the broker is there to take it."""
        self._topics, self._say = topics, say
        self._asked: dict[str, tuple[str, asyncio.Future[ResultPayload]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._ts = 0

    def heard(self, topic: str, said: ResultPayload) -> None:
        """An answer of the gateway."""
        operator = topic.removeprefix(self._topics.command_result(""))
        waiting = self._asked.get(operator)
        if waiting is not None and waiting[0] == said.command and not waiting[1].done():
            waiting[1].set_result(said)

    async def say(
        self, user: str, name: str, body: dict[str, Any], *, now_ms: int
    ) -> ResultPayload:
        """Send a command of a person; returns the gateway's answer. now_ms: plant time.

        Whether the person may say it, the guard has asked. Raises SayingError for what is no
        command, and without an answer.
        """
        payload = self._encoded(user, name, body, now_ms=now_ms)
        if user not in self._locks and len(self._locks) >= WAITING_MAX:
            self._locks = {who: lock for who, lock in self._locks.items() if lock.locked()}
        lock = self._locks.setdefault(user, asyncio.Lock())
        async with lock:
            answer: asyncio.Future[ResultPayload] = asyncio.get_running_loop().create_future()
            self._asked[user] = (name, answer)
            try:
                if not self._say(f"{self._topics.root}/cmd/{user}/{name}", payload):
                    raise SayingError("the broker is away; nothing was sent", status=503)
                return await asyncio.wait_for(answer, ANSWER_S_MAX)
            except TimeoutError:
                raise SayingError(
                    f"the gateway has not answered within {ANSWER_S_MAX:g} s; whether it was done"
                    " shows in the lists",
                    status=504,
                ) from None
            finally:
                del self._asked[user]

    def _encoded(self, user: str, name: str, body: dict[str, Any], *, now_ms: int) -> bytes:
        kind = BODIES.get(name)
        if kind is None:
            raise SayingError(
                f"no command {name[:40]!r}; there are {', '.join(BODIES)}", status=404
            )
        if not is_asset_id(user):
            raise SayingError(f"{user!r} cannot be a level of a topic", status=403)
        # The very same command twice is refused: two within a millisecond are told apart.
        self._ts = self._ts + 1 if now_ms <= self._ts < now_ms + 1_000 else now_ms
        try:
            said = msgspec.convert({**body, "ts": self._ts}, kind)
        except UNREADABLE as error:
            raise SayingError(f"{error}; expected as in {EXAMPLES[name]}", status=400) from error
        fields = msgspec.to_builtins(said)
        return msgspec.json.encode({n: v for n, v in fields.items() if v not in (None, "")})
