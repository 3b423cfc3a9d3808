"""What must hold when all is calm: the journal taken once more, beside what was kept and heard."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from edge.records import MessageReceived
from tests.sim_gateway.again import Again, BrokenError, given_up, outbox_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import GatewaySettings
    from tests.sim_gateway.again import Key
    from tests.sim_gateway.journals import Entry
    from tests.sim_gateway.world import Shop

from tests.sim_gateway.checks import ANEW, SYSTEM, Steps
from tests.sim_gateway.ledger import PLANT, given


class Witness(Steps):
    """Of one seed, from its beginning to its end."""

    def settled(self, settings: GatewaySettings, shop: Shop) -> None:
        """All that was accepted has been scored, and all that was decided has been heard."""
        self.count("segments dropped", len(self.disk.retired))
        journal = self._journal()
        for number, message in self.accepted.items():
            if not self.journals.holds(message.payload, journal):
                raise BrokenError(f"message {number} was acknowledged and is not in the journal")
        entries, torn = self.journals.entries(journal)
        # a box that was replaced opens its journal no more, and leaves it as a power cut did
        if torn and not (self.seen.get("journal damaged") or self.fenced_lives):
            raise BrokenError(f"the journal is damaged: {torn}")
        self._taken_once(entries)
        again = Again(settings, shop, entries)
        self._scored(again)
        if self.fenced_lives:  # what it has not said is for the box that replaced it
            self.count("seeds of a box that was replaced")
            self._in_order()
            return
        self._texts(again)
        if self.unsure:
            self.count("seeds of which the journal has holes")
            self._in_order()
            return
        if not self._remembered(again):
            self.count("seeds of which the journal dropped what it needed")
            self._in_order()
            return
        stands = outbox_of(self.state)
        self._decided_alike(again, stands)
        if self.lapses:
            self._in_order()
        else:
            self._never_back(list(stands))
        self._last_words(again)

    def _taken_once(self, entries: Sequence[Entry]) -> None:
        """What a broker sends again stands in the journal once, over any number of restarts."""
        # a session that nobody knows begins ids anew, and what was damaged nobody remembers
        if self.sessions > 1 or self.seen.get("journal damaged"):
            return
        taken = [one for _, one in entries if isinstance(one, MessageReceived)]
        often = Counter(one.payload for one in taken if one.qos and not one.retain)
        self.count("seeds of one session")
        for payload, times in often.items():
            if times > self.sent[payload]:
                raise BrokenError(f"{payload[:80]!r} was taken {times} times")

    def _decided_alike(self, again: Again, stands: dict[Key, bytes]) -> None:
        """The outbox holds what the journal decides, and all of it was heard."""
        gone = given_up(self.state)
        self.count("given up", len(gone))
        if gone and not self.narrow:
            raise BrokenError(f"given up in an outbox with room: {sorted(gone)[:4]}")
        odd = stands.keys() ^ again.decided.keys()
        if self.lapses:  # what was decided without an outbox may stand in none
            odd -= again.decided.keys()
        if odd:
            raise BrokenError(f"journal and outbox differ: {sorted(odd)[:4]}")
        for key, payload in stands.items():
            given = again.decided[key]
            if given != payload:
                raise BrokenError(f"{key}: the journal gives {given!r}, kept was {payload!r}")
            # what could not be audited was withheld
            quiet = self.lapses and bool(msgspec.json.decode(payload).get("suppressed"))
            quiet = quiet or self._overtaken(key)
            if not (key in self.said or key in gone) and "/alert/" in key[0] and not quiet:
                raise BrokenError(f"{key} was decided and never heard")
        for key in self.said:
            if key not in stands and not self.lapses:
                raise BrokenError(f"{key} was heard and is in no outbox")

    def _overtaken(self, key: Key) -> bool:
        """Whether it waited in a file that could not be read, until a later word was said.

        A process that is told by its broker what stands does not leave anything out for that.
        """
        later = (one for one in self.said if one[:2] == key[:2] and one[2] > key[2])
        return self.lapses and not self.broker.keeps and any(later)

    def _texts(self, again: Again) -> None:
        """Each text of an operator stands once in the folder of documents."""
        lines = [
            line
            for path in sorted((self.state.parent / "docs" / "inbox").glob("*.log"))
            for line in path.read_text().splitlines()
        ]
        if len(lines) != len(set(lines)):
            raise BrokenError(f"a text is noted twice: {sorted(lines)}")
        if self.fenced_lives:  # ended at once: what its last sync does not cover is gone with it
            return
        for asset, text in again.texts:
            if not any(f"{asset} {text}," in line for line in lines):
                raise BrokenError(f"{text!r} was taken, and is not noted: {lines}")
        self.count("texts", len(again.texts))

    def _in_order(self) -> None:
        """No alert steps back, within the life of a process; events may come late."""
        newest: dict[str, Key] = {}
        seen: set[Key] = set()
        for key in self.order:
            if key == ANEW:
                newest, seen = {}, set()
                continue
            if "/alert/" not in key[0]:
                continue
            last = newest.get(key[0], key)
            if key != last and (key in seen or (key[1] == last[1] and key[2] < last[2])):
                raise BrokenError(f"{key} was said after {last}")
            newest[key[0]] = key
            seen.add(key)

    def _never_back(self, decided: list[Key]) -> None:
        """No topic shows an older revision behind a newer one, whatever was said twice."""
        place = {key: number for number, key in enumerate(decided)}
        newest: dict[str, int] = {}
        for key in self.order:
            if key in place and place[key] < newest.get(key[0], 0):
                raise BrokenError(f"{key} was said after {decided[newest[key[0]]]}")
            newest[key[0]] = place.get(key, newest.get(key[0], 0))

    def _last_words(self, again: Again) -> None:
        for topic, payload in again.retained.items():
            held = self.broker.retained.get(topic)
            if topic != SYSTEM and held != payload:
                raise BrokenError(f"{topic} holds {held!r}, and the last word is {payload!r}")

    def _remembered(self, again: Again) -> bool:
        """The gateway, over all its restarts, has scored the rows that its journal gives.

        Where a restart had neither a checkpoint nor the segments before the oldest that was left,
        and told so, it does not know the rows of what was dropped. Returns whether it knows all.
        """
        knows_all = True
        forgotten: set[tuple[str, int]] = set()
        if self.gaps or self.seen.get("checkpoints damaged"):
            forgotten = self._dropped_rows()
        for asset, rows in self.rows.items():
            odd = again.ledger.rows[asset] ^ rows
            if lost := {t_ns for t_ns in odd if t_ns in rows or (asset, t_ns) not in forgotten}:
                raise BrokenError(f"{asset}: its journal or it alone has scored {sorted(lost)[:4]}")
            knows_all &= not odd
            self.count("rows remembered", len(rows))
        return knows_all

    def _dropped_rows(self) -> set[tuple[str, int]]:
        """(asset, time) of the rows in segments that were dropped."""
        entries, _ = self.journals.entries(self.disk.retired)
        told = [one for _, one in entries if isinstance(one, MessageReceived)]
        return {(one.topic.removeprefix(PLANT), t_ns) for one in told for t_ns, _ in given(one)}

    def _scored(self, again: Again) -> None:
        """Each value of a message in the journal was scored, or is counted by reason: exactly.

        Each of a message that was accepted stands there. With its last tick nothing waits.
        """
        ledger = again.ledger
        self.count("values scored", ledger.scored)
        self.count("values not taken", ledger.counted)
        if ledger.waiting or ledger.given != ledger.scored + ledger.counted:
            raise BrokenError(
                f"{ledger.given} values were given, {ledger.scored} of them scored,"
                f" {ledger.counted} counted, and {ledger.waiting} wait"
            )
