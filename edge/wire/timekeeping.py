"""What health says of clocks: ours, and those of devices that are off."""

from __future__ import annotations

import msgspec


class SuspectPayload(msgspec.Struct, frozen=True, kw_only=True):
    """An asset of which the newest times cannot be. ahead_s: negative: behind; null: not known."""

    asset: str
    ahead_s: float | None
    zone: str = ""  # such as "+02:00": as one is off that sends the local time of there as UTC


class ClockPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Our own clock, as sources and the system see it."""

    synchronised: int | None = None  # by a time service, as the kernel says; null: not known
    doubted: int = 0  # 1: `agree` of `sources` outvote it, or none while nobody knows
    behind_s: float = 0.0  # so much is added to it
    agree: int = 0
    sources: int = 0  # that have shown times of their own in the last minutes
    suspects: tuple[SuspectPayload, ...] = ()  # 32 at most
    suspect: int = 0  # in all
