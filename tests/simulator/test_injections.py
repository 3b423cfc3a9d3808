"""Standard faults in values: where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.injections import InjectedKind, Injection

SECOND = 10**9
NONE_STOPPED = np.ones(10, bool)


def fault(kind: InjectedKind, *, size: float = 2.0, resolution: float = 0.0) -> Injection:
    """From the second second to before the eighth."""
    return Injection(
        kind=kind,
        channel=0,
        begin_ns=2 * SECOND,
        end_ns=8 * SECOND,
        size=size,
        held=5.0,
        resolution=resolution,
    )


def disturbed(one: Injection, running: np.ndarray = NONE_STOPPED) -> list[float]:
    """Ten zeros, a second apart, with the fault."""
    found: list[float] = one.disturb(np.zeros(10), np.arange(10) * SECOND, running).tolist()
    return found


def test_a_step_is_its_size_while_the_machine_runs() -> None:
    """What stands still is not moved by what happens in the process."""
    running = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1], bool)
    assert disturbed(fault(InjectedKind.STEP), running) == [0, 0, 2, 2, 0, 0, 2, 2, 0, 0]


def test_a_ramp_reaches_its_size_half_way() -> None:
    """Three seconds up, three seconds there; as fine as the channel is sent."""
    assert disturbed(fault(InjectedKind.RAMP, size=3.0)) == [0, 0, 0, 1, 2, 3, 3, 3, 0, 0]
    rough = disturbed(fault(InjectedKind.RAMP, size=3.0, resolution=2.0))
    assert rough == [0, 0, 0, 0, 2, 4, 4, 4, 0, 0]


def test_a_stuck_value_is_held_and_a_drop_out_is_absent() -> None:
    """Also where the machine stands: it is the sensor that fails."""
    stopped = np.zeros(10, bool)
    assert disturbed(fault(InjectedKind.STUCK), stopped) == [0, 0, 5, 5, 5, 5, 5, 5, 0, 0]
    absent = np.isnan(disturbed(fault(InjectedKind.DROP_OUT), stopped))
    assert absent.tolist() == [False] * 2 + [True] * 6 + [False] * 2


def test_noise_is_as_large_as_it_says() -> None:
    """A standard deviation over many samples, and the same each time."""
    t_ns = np.arange(20_000) * SECOND
    one = Injection(
        kind=InjectedKind.NOISE, channel=0, begin_ns=0, end_ns=int(t_ns[-1]) + 1, size=3.0
    )
    running = np.ones(len(t_ns), bool)
    first, again = (one.disturb(np.zeros(len(t_ns)), t_ns, running) for _ in range(2))
    assert np.array_equal(first, again)
    assert 2.9 < float(first.std()) < 3.1
    assert abs(float(first.mean())) < 0.1


@given(
    kind=st.sampled_from(list(InjectedKind)),
    begin=st.integers(0, 30),
    length=st.integers(0, 30),
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
)
def test_a_fault_changes_nothing_outside_of_its_time(
    kind: InjectedKind, begin: int, length: int, values: list[float]
) -> None:
    """Nor the values that it was given."""
    given_values = np.array(values)
    before = given_values.copy()
    t_ns = np.arange(len(values)) * SECOND
    one = Injection(
        kind=kind,
        channel=0,
        begin_ns=begin * SECOND,
        end_ns=(begin + length) * SECOND,
        size=1.0,
        held=0.0,
    )
    found = one.disturb(given_values, t_ns, np.ones(len(values), bool))
    assert np.array_equal(given_values, before)
    outside = np.array([not begin <= i < begin + length for i in range(len(values))], bool)
    assert np.array_equal(found[outside], before[outside])
