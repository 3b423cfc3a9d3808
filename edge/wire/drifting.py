"""What health tells of assets whose normal operation has moved since their fit."""

from __future__ import annotations

import msgspec


class DriftingChannelPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of which the level or the spread has moved. sigmas, spread_times: by how much.

    share, share_usual: of the asset's deviations, now and when it was fitted.
    """

    channel: str
    kinds: tuple[str, ...]  # level | spread
    direction: str  # up | down, of the level where it has moved
    sigmas: float | None
    spread_times: float | None
    share: float | None
    share_usual: float | None
    confidence: float  # -log10 p
    since_ms: int


class DriftPayload(msgspec.Struct, frozen=True, kw_only=True):
    """An asset whose normal operation is not any more where it was when it was fitted."""

    asset: str
    audience: str  # engineer: nothing rings for it
    since_ms: int
    drift_score: float | None  # -log10 p of more high scores than usual
    scores_since_ms: int | None  # null: scores do not drift
    channels: tuple[DriftingChannelPayload, ...]  # the worst
    channels_total: int
    left_out: dict[str, int]  # samples that do not count, by reason
