"""The short ways of principal components and of the ensemble; see their graphs for what they are.

Principal components, with knots and slopes of the stored tails in units of t:

    m_k  EWMAs of z        t_k, t_K+k = cbrt m_k' P m_k, cbrt m_k' Q m_k

The ensemble: what every projection costs to be rare is divided by how much the sum of all varies,
which no sample changes while none is missing:

    d = sum_j used_j u_j / sqrt(used' V used)        t_k = m_k, an EWMA of d
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import Z_MAX
from models.bundles.tabled_kinds import ENSEMBLE_PARAMETERS, PCA_PARAMETERS
from models.graphs.ensemble import BEYOND_MAX, DEVIATE_MAX
from models.graphs.pca import FREEDOM_MIN, NONE
from models.steady.few import FewRows
from models.steady.rows import (
    TAILS,
    average,
    chi_square_tails,
    made,
    near,
    normalise,
    of_z,
    surprise,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.asked import F32, Mask, Parameters
    from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
    from models.steady.rows import Few, Rows

    F64 = NDArray[np.float64]

Begins = tuple["NDArray[np.int32]", int, int]
BEGINS_KEPT: Final = 8  # shapes of tables; 160 kB for 1,000 assets
POWER_MIN: Final = 1e-12  # as in the graph
SIZE_MIN: Final = 1e-6  # likewise


class TabledWay:
    """What both share: state of EWMAs, sums and run; implements most of `Way`."""

    def __init__(self, spec: PcaSpec | EnsembleSpec) -> None:
        self._spec = spec
        self._means = spec.state_sizes[0]
        self._run = spec.state_width - 1

    def are_steady(self, rows: Rows, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (s, a)."""
        found = near(state[self._means : self._run], rows["limits"])
        found &= state[self._run] >= rows["ready"]
        return found

    def steady_state(self, rows: Rows, chance: np.random.Generator) -> F32:
        """Some steady state of each row (s, a)."""
        state = np.zeros((self._spec.state_width, len(rows)), np.float32)
        state[: self._means] = chance.normal(scale=0.5, size=(self._means, len(rows)))
        state[self._means : self._run] = rows["limits"]
        state[self._run] = rows["ready"]
        return state

    def one(self, row: Rows, few: Few) -> None:  # noqa: ARG002 - as `Way` has it
        """No way of its own for a single row."""
        return

    def _averages(self, values: F32, state: F32, after: F32) -> F32:
        """EWMAs (n, K, w, a) of values (n, w, a); the last of them, and the rest, into `after`."""
        n, w, a = values.shape
        k, end = len(self._spec.lambdas), self._run
        before = state[: self._means].reshape(k, w, a)
        means = after[: self._means].reshape(k, w, a)
        stack = means[None] if n == 1 else np.empty((n, k, w, a), np.float32)
        for j, rate in enumerate(self._spec.lambdas):
            if rate == 1.0:
                stack[:, j] = values
            else:
                average(values, before[j], rate, out=stack[:, j])
        if n > 1:
            means[:] = stack[-1]
        np.add(state[end], np.float32(n), out=after[end])
        return stack


class PcaWay(TabledWay):
    """The short way of principal components; implements `models.steady.rows.Way`.

    Its arrays beside those of all: plane and rest (c, c, a).
    """

    names: tuple[str, ...] = PCA_PARAMETERS

    def rows(self, parameters: Parameters) -> Rows:
        """Parameters (a, ...) as it takes them."""
        present = parameters["present"]
        wide = {name: value.astype(np.float64) for name, value in parameters.items()}
        rate = np.array(self._spec.lambdas)
        with np.errstate(all="ignore"):  # of rows that nobody fitted
            known = _expected(wide)  # (4, a) mean and freedom of T, then of Q
            settled = (rate / (2.0 - rate))[:, None]  # (K, 1)
            sums = np.concatenate([known, np.ones_like(known[:1])])  # (5, a)
            limits = (settled[:, None] * sums).reshape(-1, known.shape[1])
            knots, slopes = (wide[name].transpose(1, 2, 0) for name in TAILS)
            k = len(rate)
            tails = [
                _tails_of(knots[v : v + k], slopes[v : v + k], settled * mean, freedom)
                for v, (mean, freedom) in zip((0, k), (known[:2], known[2:]), strict=True)
            ]
            arrays = of_z(wide, present) | {
                "plane": wide["plane"].transpose(1, 2, 0),
                "rest": wide["rest"].transpose(1, 2, 0),
                "knots": np.concatenate([tails[0][0], tails[1][0]]),
                "slopes": np.concatenate([tails[0][1], tails[1][1]]),
                "fusion": wide["fusion"][:, 0],
                "limits": limits,
            }
            # a view without a degree of freedom is at NONE, which no tail of ours is surprised by
            seen = present.any(axis=1) & (wide["tail_knots"] >= NONE).all(axis=(1, 2))
            ready = np.where(seen, wide["settle"][:, 0], np.inf)
            return made(arrays, ready, present=present)

    def few(self, rows: Rows) -> FewPlanes:
        """Some rows by themselves."""
        return FewPlanes(self._spec, rows, first=self._means, run=self._run)

    def score(self, rows: Rows, x: F32, state: F32, *, score: F32, after: F32) -> None:
        """Score samples x (n, c, a) after state (s, a), into score (n, a) and after (s, a)."""
        n, _, a = x.shape
        k = len(self._spec.lambdas)
        z = np.empty(x.shape, np.float32)
        normalise(rows, x, out=z)
        stack = self._averages(z, state, after)
        t = np.empty((2, n, k, a), np.float32)
        for size, form in zip(t, (rows["plane"], rows["rest"]), strict=True):
            _power(stack, form, out=size)
        np.cbrt(t, out=t)
        surprise(rows, t.transpose(1, 0, 2, 3).reshape(n, 2 * k, a), out=score)
        after[self._means : self._run] = rows["limits"]


class EnsembleWay(TabledWay):
    """The short way of the ensemble; implements `models.steady.rows.Way`.

    Its arrays beside those of all: directions (c, M, a), first and width (M, a) of their bins,
    table (M, B, a) and used (M, a), what each counts for.
    """

    names: tuple[str, ...] = ENSEMBLE_PARAMETERS

    def rows(self, parameters: Parameters) -> Rows:
        """Parameters (a, ...) as it takes them."""
        present = parameters["present"]
        wide = {name: value.astype(np.float64) for name, value in parameters.items()}
        rate = np.array(self._spec.lambdas)
        with np.errstate(all="ignore"):  # of rows that nobody fitted
            used = (wide["directions"] != 0.0).any(axis=1).astype(np.float64)  # (a, M)
            power = np.einsum("ai,aij,aj->a", used, wide["spread"], used)
            size = np.sqrt(np.maximum(power, SIZE_MIN))
            root = np.sqrt(rate / (2.0 - rate))[:, None, None]
            knots, slopes = (wide[name].transpose(1, 2, 0) for name in TAILS)
            arrays = of_z(wide, present) | {
                "directions": wide["directions"].transpose(1, 2, 0),
                "first": wide["low"].T,
                "width": wide["width"].T,
                "table": wide["table"].transpose(1, 2, 0),
                "used": (used / size[:, None]).T,
                "knots": knots * root,
                "slopes": slopes / root,
                "fusion": wide["fusion"][:, 0],
                "limits": np.repeat(root[:, :, 0] ** 2, len(present), axis=1),
            }
            ready = np.where(present.any(axis=1), wide["settle"][:, 0], np.inf)
            return made(arrays, ready, present=present)

    def few(self, rows: Rows) -> FewMembers:
        """Some rows by themselves."""
        return FewMembers(self._spec, rows, first=self._means, run=self._run)

    def score(self, rows: Rows, x: F32, state: F32, *, score: F32, after: F32) -> None:
        """Score samples x (n, c, a) after state (s, a), into score (n, a) and after (s, a)."""
        n, _, a = x.shape
        z = np.empty(x.shape, np.float32)
        normalise(rows, x, out=z)
        np.fmax(z, np.float32(-Z_MAX), out=z)  # there is no bin for NaN
        d = np.empty((n, 1, a), np.float32)
        directions, flat = rows["directions"], rows["table"].reshape(-1)
        begins = _begins(*rows["table"].shape)
        for t in range(n):
            rare = np.einsum("cma,ca->ma", directions, z[t])
            _rare(rare, rows["first"], rows["width"], flat, begins)
            np.einsum("ma,ma->a", rare, rows["used"], out=d[t, 0])
        np.maximum(d, np.float32(-DEVIATE_MAX), out=d)
        np.minimum(d, np.float32(DEVIATE_MAX), out=d)
        stack = self._averages(d, state, after)
        surprise(rows, stack[:, :, 0], out=score)
        after[self._means : self._run] = rows["limits"]


def _rare(place: F32, first: F32, width: F32, table: F32, begins: Begins) -> None:
    """Projections, `place` (..), become how rare the bins are that they fall into.

    first, width: of their bins   table: (of all bins,)   begins: where those of each are in it, and
    how far apart one from the next
    """
    at, stride, bins = begins
    place -= first
    place /= width  # in bins
    inside = np.clip(place, np.float32(0.0), np.float32(bins))
    place -= inside
    np.abs(np.clip(place, np.float32(-BEYOND_MAX), np.float32(BEYOND_MAX), out=place), out=place)
    np.clip(inside, np.float32(0.0), np.float32(bins - 0.5), out=inside)  # the last has its end
    own = inside.astype(np.int32)
    own *= np.int32(stride)
    own += at
    place += table.take(own)


@lru_cache(maxsize=BEGINS_KEPT)
def _begins(m: int, bins: int, a: int) -> Begins:
    """Where the first bin of each projection of each asset stands in a table (m, bins, a)."""
    first = bins * a * np.arange(m)[:, None] + np.arange(a)
    return first.astype(np.int32), a, bins


class FewPlanes(FewRows):
    """The short way of few rows of principal components."""

    def __init__(self, spec: PcaSpec | EnsembleSpec, rows: Rows, *, first: int, run: int) -> None:
        super().__init__(rows, spec.lambdas, width=spec.state_width, first=first, run=run)

    def _made(self, rows: Rows) -> dict[str, F32]:
        both = np.concatenate([rows["plane"], rows["rest"]], axis=1)  # symmetric ones
        return {"forms": both.transpose(2, 1, 0)}

    def read(self) -> dict[str, F32]:
        """Find its own arrays too."""
        each = super().read()
        self._forms = each["forms"]  # (a, 2 c, c)
        return each

    def _step(self, x: F32, state: F32, after: F32) -> F32:
        a, n, c = x.shape
        k, means = len(self._lambdas), slice(self._first)
        stack, values = self._stack((a, c, 1 + n))
        z = values[:, :, 1:]
        z[...] = x.swapaxes(1, 2)
        self._normalise(z, out=z)
        self._averages(stack, values, state[:, means], after[:, means])
        pulled = np.matmul(self._forms, stack).reshape(k, a, 2, c, 1 + n)
        pulled *= stack[:, :, None]
        t = np.empty((2, k, a, 1 + n), np.float32)
        np.add.reduce(pulled, axis=3, out=t.transpose(1, 2, 0, 3))
        np.cbrt(t, out=t)
        return self._surprise(t.reshape(2 * k, a, 1 + n))[:, 1:]


class FewMembers(FewRows):
    """The short way of few rows of the ensemble."""

    def __init__(self, spec: PcaSpec | EnsembleSpec, rows: Rows, *, first: int, run: int) -> None:
        super().__init__(rows, spec.lambdas, width=spec.state_width, first=first, run=run)
        self.wide = len(rows["table"])

    def _made(self, rows: Rows) -> dict[str, F32]:
        return {
            "directions": rows["directions"].transpose(2, 1, 0),
            "first": rows["first"].T,
            "width": rows["width"].T,
            "used": rows["used"].T,
            "table": rows["table"].transpose(2, 0, 1),
        }

    def read(self) -> dict[str, F32]:
        """Find its own arrays too."""
        each = super().read()
        self._directions = each["directions"]
        self._starts, self._widths = each["first"][..., None], each["width"][..., None]
        self._used = each["used"][:, None]  # (a, 1, M)
        a, m, bins = each["table"].shape
        self._table = each["table"].reshape(-1)
        self._begins = bins * np.arange(a * m, dtype=np.int32).reshape(a, m, 1), 1, bins
        return each

    def _step(self, x: F32, state: F32, after: F32) -> F32:
        a, n, c = x.shape
        z = np.empty((a, c, n), np.float32)
        z[...] = x.swapaxes(1, 2)
        self._normalise(z, out=z)
        marked = np.float32(0.0) * np.add.reduce(z, axis=1, keepdims=True)  # NaN where a value is
        np.fmax(z, np.float32(-Z_MAX), out=z)  # there is no bin for NaN
        rare = np.matmul(self._directions, z)
        _rare(rare, self._starts, self._widths, self._table, self._begins)
        stack, values = self._stack((a, 1, 1 + n))
        d = values[:, :, 1:]
        np.add(np.matmul(self._used, rare), marked, out=d)
        np.maximum(d, np.float32(-DEVIATE_MAX), out=d)
        np.minimum(d, np.float32(DEVIATE_MAX), out=d)
        means = slice(self._first)
        self._averages(stack, values, state[:, means], after[:, means])
        return self._surprise(stack[:, :, 0])[:, 1:]


def _expected(wide: dict[str, F64]) -> F64:
    """Mean and freedom of T, then of Q, where nothing is missing (4, a)."""
    told = []
    for form in (wide["plane"], wide["rest"]):
        product = form @ wide["covariance"]
        mean = np.trace(product, axis1=1, axis2=2)
        power = np.einsum("aij,aji->a", product, product)
        told += [mean, mean**2 / np.maximum(power, POWER_MIN)]
    return np.stack(told)


def _tails_of(knots: F64, slopes: F64, mean: F64, freedom: F64) -> tuple[F64, F64]:
    """Tails (K, J, a) of the cube root of T or Q; silent where it has no degree of freedom.

    mean: (K, a)   freedom: (a,)
    """
    there = freedom > FREEDOM_MIN
    told = chi_square_tails(
        knots, slopes, np.where(there, mean, 1.0), np.where(there, freedom, 1.0)[None]
    )
    return told[0], np.where(there, told[1], 0.0)


def _power(stack: F32, form: F32, *, out: F32) -> None:
    """Quadratic forms (c, c, a) of averages (n, K, c, a), (n, K, a)."""
    n, k, c, a = stack.shape
    each = np.empty((c, a), np.float32)
    for t in range(n):
        for j in range(k):
            np.einsum("jca,ja->ca", form, stack[t, j], out=each)
            np.einsum("ca,ca->a", each, stack[t, j], out=out[t, j])
