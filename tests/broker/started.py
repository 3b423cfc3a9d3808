"""Gateways that tests have started, until the ears of each of their brokers were asked.

It imports nothing of ours: every run of the tests looks here at its end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True, eq=False)
class Told:
    """A gateway that was started: its client ids, and every topic that it listed then.

    ports: of its brokers, as it knows them, that no ears have answered for yet.
    """

    client_ids: frozenset[str]
    listed: frozenset[str]
    ports: set[int] = field(default_factory=set)
    test: str = field(default_factory=lambda: os.environ.get("PYTEST_CURRENT_TEST", "no test"))


STARTED: Final[list[Told]] = []


def answered_for(ports: Iterable[int], started: list[Told] = STARTED) -> list[Told]:
    """The gateways of a broker with these ports; they wait for its ears no more."""
    own = set(ports)
    found = [told for told in started if told.ports & own]
    for told in found:
        told.ports -= own
    started[:] = [told for told in started if told.ports]
    return found


def unheard(started: list[Told] = STARTED) -> list[str]:
    """A line for each gateway that said something, or might have, where nobody listened."""
    return [
        f"{told.test.rpartition(' (')[0] or told.test}: a gateway as"
        f" {' and '.join(sorted(told.client_ids))} on port"
        f" {' and '.join(map(str, sorted(told.ports)))}"
        for told in started
    ]
