"""What an imported model said becomes scores, by the graphs of `models.graphs.judged`, loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.foreign.imported import TALLIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec
    from models.window_calls import Session

    F32 = NDArray[np.float32]
    Parameters = Mapping[str, NDArray[Any]]

LINE_CELLS_MAX: Final = 2**13  # rows and samples at once: with all tails half a megabyte
LINES_FROM: Final = 16  # rows: of fewer a line is too short
PER_ERROR: Final = ("error_center", "error_scale", "evenness")
PER_VIEW: Final = ("tail_knots", "tail_slopes")


class Judge:
    """The graphs of a spec. A head is the first of a state, (h, a): EWMAs behind the tallies."""

    def __init__(
        self, step: Session, block: Session, lines: Session | None, spec: ImportedSpec
    ) -> None:
        self._step, self._block, self._lines = step, block, lines
        self._wanted = [{one.name for one in each.get_inputs()} for each in (step, block)]
        self._sizes = (len(spec.lambdas), spec.errors)
        self._averages = slice(TALLIES, TALLIES + spec.averages)
        self._variances = slice(TALLIES + spec.averages, spec.head)
        self._keep = np.repeat(1.0 - np.array(spec.lambdas), spec.errors)[:, None]
        self._turned: tuple[tuple[NDArray[Any], ...], dict[str, NDArray[Any]]] = ((), {})

    def step(self, given: F32, head: F32, parameters: Parameters, *, samples: int) -> F32:
        """Scores (a,) of what the model gave (a, M) of the last of some samples; moves the head."""
        if samples > 1:
            head[self._averages] *= self._keep ** (samples - 1)
            head[self._variances] *= self._keep ** (2 * (samples - 1))
        shape = (*self._sizes, len(given))
        feed = self._rows_last(parameters) | {
            "given": np.ascontiguousarray(given.T),
            "averages": head[self._averages].reshape(shape),
            "variances": head[self._variances].reshape(shape),
        }
        names = ["score", "averages_out", "variances_out"]
        score, averages, variances = self._step.run(names, feed)
        head[self._averages] = averages.reshape(-1, len(given))
        head[self._variances] = variances.reshape(-1, len(given))
        told: F32 = score
        return told

    def in_lines(self, rows: int) -> bool:
        """Whether blocks of so many rows are for `lines`."""
        return self._lines is not None and rows >= LINES_FROM

    def lines(self, given: F32, head: F32, parameters: Parameters) -> F32:
        """Scores (a, n) of what a model of scores gave (a, n), of many rows; moves the head."""
        assert self._lines is not None, "of a model of scores"
        rows, n = given.shape
        given = np.ascontiguousarray(given.T)
        out, step = np.empty((n, rows), np.float32), max(1, LINE_CELLS_MAX // rows)
        feed, shape = self._rows_last(parameters), (*self._sizes, rows)
        averages, variances = (
            head[one].reshape(shape) for one in (self._averages, self._variances)
        )
        names = ["score", "averages_out", "variances_out"]
        for at in range(0, n, step):
            now = {"given": given[at : at + step], "averages": averages, "variances": variances}
            out[at : at + step], averages, variances = self._lines.run(names, feed | now)
        head[self._averages] = averages.reshape(-1, rows)
        head[self._variances] = variances.reshape(-1, rows)
        return np.ascontiguousarray(out.T)

    def block(self, given: F32, head: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Scores (a, n) and shares (a, n, c) of what the model gave (a, n, M); moves the head.

        Of a score there are no shares, (a, n, 0).
        """
        feed = {name: parameters[name] for name in (*PER_ERROR, *PER_VIEW, "fusion")}
        feed |= {
            "given": given,
            "averages": np.ascontiguousarray(head[self._averages].T),
            "variances": np.ascontiguousarray(head[self._variances].T),
        }
        feed = {name: value for name, value in feed.items() if name in self._wanted[1]}
        names = ["score", "contribution", "averages_out", "variances_out"]
        score, shares, averages, variances = self._block.run(names, feed)
        head[self._averages], head[self._variances] = averages.T, variances.T
        return score, shares

    def _rows_last(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        """Parameters as the graph of a step takes them; those of the last tick are still there."""
        own = tuple(parameters[name] for name in (*PER_ERROR, *PER_VIEW, "fusion"))
        known, turned = self._turned
        if len(known) != len(own) or any(a is not b for a, b in zip(known, own, strict=True)):
            made = {name: np.ascontiguousarray(parameters[name].T) for name in PER_VIEW}
            for name in PER_ERROR:
                made[name] = np.ascontiguousarray(np.moveaxis(parameters[name], 0, -1))
            made["fusion"] = np.ascontiguousarray(parameters["fusion"][:, 0])
            turned = {name: one for name, one in made.items() if name in self._wanted[0]}
            self._turned = own, turned
        return turned
