"""Which operating mode a machine is in that tells none: a guess, sample by sample, from its levels.

A sample is told to be of a mode only where every channel that tells modes apart is at the level of
that mode. What is at none stays with the mode before it after the few samples that a change takes,
so what is strange there is strange. A change that the record never showed is not believed, nor one
after a far shorter stay than any there; and a far longer stay counts as one that never began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

CONFIRM: Final = 3  # samples in a row that make a change


class FoundModes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The k modes of a record that told none; their values are 0 to k - 1.

    low, high: (k, c) between which each channel stays in a mode, beyond all numbers where it does
    not tell; low_in, high_in: between which it has arrived there. transit: samples that a change
    takes. follows: (k, k) of a and b, 1: b may come after a. shortest, longest: (k,) samples that a
    mode stays. float64.
    """

    low: np.ndarray
    high: np.ndarray
    low_in: np.ndarray
    high_in: np.ndarray
    transit: int
    follows: np.ndarray
    shortest: np.ndarray
    longest: np.ndarray


class ModeTrack(msgspec.Struct, kw_only=True):
    """What is remembered of one stream. mode, before, next: -1: none.

    stay: samples in this mode, -1: not known since when. outside: samples since it was last at its
    level, inside: in a row that it has been there again. nexts: in a row at the level of `next`.
    """

    mode: int = -1
    before: int = -1
    next: int = -1
    stay: int = -1
    outside: int = 0
    inside: int = 0
    nexts: int = 0


def tell_modes(
    track: ModeTrack, found: FoundModes, values: NDArray[np.floating], running: Mask
) -> F64:
    """The mode of each sample (n,), NaN: between modes, or not known yet; moves the track on.

    values: (n, c), NaN: no valid value, says nothing; running: (n,), a stop forgets. A sample looks
    at itself and at those before it, so it does not matter how the stream was cut.
    """
    at_level = between(found.low, found.high, values)
    arrived = between(found.low_in, found.high_in, values)
    told = np.full(len(values), np.nan)
    i = 0
    while i < len(values):
        stays = _stays(track, found, at_level[i:], running[i:])
        if stays:
            told[i : i + stays] = track.mode
            track.stay += stays if track.stay >= 0 else 0
            i += stays
            continue
        if running[i]:
            told[i] = _step(track, found, at_level[i], arrived[i])
        else:
            _copy(ModeTrack(), track)
        i += 1
    return told


def hold_mode(track: ModeTrack, n: int) -> F64:
    """The mode stays as it is for n samples (n,), of which nothing is believed.

    After them any change is: work may have made it.
    """
    mode = track.mode
    _copy(ModeTrack(mode=mode), track)
    return np.full(n, float(mode) if mode >= 0 else np.nan)


def _copy(source: ModeTrack, target: ModeTrack) -> None:
    for name in ModeTrack.__struct_fields__:
        setattr(target, name, getattr(source, name))


def between(low: F64, high: F64, values: NDArray[np.floating]) -> Mask:
    """Whether each sample (n, c) may be of each mode (n, k) by such edges (k, c)."""
    one = values[:, None, :]
    with np.errstate(invalid="ignore"):
        away = (one < low) | (one > high)  # never so of NaN
    return np.asarray(~away.any(axis=2))


def _stays(track: ModeTrack, found: FoundModes, at_level: Mask, running: Mask) -> int:
    """How many of the next samples are of the mode for sure: nothing happens in them."""
    if track.mode < 0 or track.outside:
        return 0
    there = at_level[:, track.mode] & running
    stays = len(there) if there.all() else int(there.argmin())
    return max(min(stays, _room(track, found)), 0)


def _room(track: ModeTrack, found: FoundModes) -> int:
    """Samples that the mode may stay on; below 0: it has stayed for too long."""
    known = track.stay >= 0 and track.before >= 0
    return int(found.longest[track.mode]) - track.stay if known else 2**60


def _step(track: ModeTrack, found: FoundModes, at_level: Mask, arrived: Mask) -> float:
    """One sample of a running machine; (k,) whether it may be of each mode, and has arrived."""
    if track.stay >= 0:
        track.stay += 1
    if track.mode >= 0 and at_level[track.mode]:
        track.inside, track.nexts = track.inside + 1, 0
        if track.inside >= CONFIRM:
            track.outside = 0
        return float(track.before if _room(track, found) < 0 else track.mode)
    track.outside, track.inside = track.outside + 1, 0
    may_be = np.flatnonzero(arrived)
    following = int(may_be[0]) if len(may_be) == 1 else -1
    track.nexts = track.nexts + 1 if following == track.next else 1
    track.next = following
    if following >= 0 and track.nexts >= CONFIRM and _believed(track, found, following):
        stay = track.nexts if track.mode >= 0 else -1
        _copy(ModeTrack(mode=following, before=track.mode, stay=stay), track)
        return float(following)
    if track.mode < 0 or track.outside <= found.transit:
        return np.nan
    return float(track.mode)


def _believed(track: ModeTrack, found: FoundModes, following: int) -> bool:
    """Whether a change is one that the record showed; after a start or work any is."""
    if track.mode < 0 or track.stay < 0:
        return True
    stayed = track.stay - track.outside
    return bool(found.follows[track.mode, following] and stayed >= found.shortest[track.mode])
