"""Columns: arrays of many states side by side, each state's a view of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def home(state: Any, name: str, array: NDArray[Any], i: int) -> None:  # noqa: ANN401 - any struct
    """Let an array of a state, of any shape, be row i of one that has a row each; as it is."""
    held = getattr(state, name)
    if held.base is not array:
        array[i] = held
        setattr(state, name, array[i])


def by_value(numbers: NDArray[np.int64]) -> list[tuple[NDArray[np.intp], int]]:
    """Where each of some numbers (k,) stands, and the number; in rising order."""
    if not len(numbers):
        return []
    if (numbers == numbers[0]).all():  # as nearly always
        return [(np.arange(len(numbers)), int(numbers[0]))]
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    ends = [*(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(numbers)]
    firsts = [0, *ends[:-1]]
    told = ordered[firsts].tolist()
    return [(order[a:b], one) for a, b, one in zip(firsts, ends, told, strict=True)]
