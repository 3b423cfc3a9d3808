"""What happened on a link, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LinkCounts:
    """What happened on the link; all of it is published."""

    received: int = 0
    shed: int = 0  # acknowledged and never journaled: more came than could wait
    oversize: int = 0  # payloads cut to just over the cap: small, and still refused as oversize
    broker_dropped: int = 0  # messages that the broker dropped since we came, for whomever
    refused: int = 0  # connections and subscriptions that the broker refused
    not_sent: int = 0  # publications without room, or without a connection and not retained
    connects: int = 0
    disconnects: int = 0
    callback_errors: int = 0
    misplaced: int = 0  # messages that have no business on this broker; never taken
