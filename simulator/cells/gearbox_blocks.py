"""The gearboxes with the waveforms themselves: blocks of vibration instead of finished features.

The same machines as `gearbox_signals` with the same seeds. Speed, load, temperature come in rows,
vibration as a block every ten seconds that ends at the row's time, with the speed of its own
trigger. A gateway that takes the configured features of them sees what the monitor publishes, as
far as the machine runs; at rest the sensor has its noise, and lines of a shaft that stands are
unknown. Work at the monitor and faults of its outputs do not exist here: there is no monitor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.wire.waveform import encode_block
from simulator.cells.gearbox_signals import (
    CHANNEL_NAMES,
    HEAT,
    MEDIAN,
    PERIOD_S,
    PUBLISHED,
    made_blocks,
    operation,
    seeds,
    severities,
)
from simulator.cells.gearbox_waves import BEARING, SPEC, STAGE
from simulator.scenario import BLOCK_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simulator.faults import PlannedFault

IDLE_RMS: Final = 0.02  # m/s2, of the sensor when nothing turns
SECOND_NS: Final = 1_000_000_000
BLOCK_CHANNELS: Final = CHANNEL_NAMES[HEAT + 1 :]


def block_messages(
    seed: int,
    number: int,
    *,
    phase: int,
    n: int,
    begin_ns: int,
    calm: Sequence[tuple[int, int]] = (),
    faults: Sequence[PlannedFault] = (),
) -> Iterator[bytes]:
    """The block of each row of one gearbox over n seconds, as a payload, in order.

    phase: 0 scenario, 1 training; calm, faults: as of `gearbox_signals.stricken`.
    """
    does = operation(seed, number, phase=phase, n=n, calm=calm)
    severity = severities(seed, number, n=n, faults=faults)
    made = dict(made_blocks(seed, number, phase=phase, does=does, severity=severity))
    span_ns = round(SPEC.block / SPEC.rate_hz * SECOND_NS)
    blocks, first = np.empty((0, SPEC.block), np.float32), 0
    for row, running in enumerate(does.running.tolist()):
        if row in made:
            first, blocks = row, made.pop(row)
        if running:
            values, rpm = blocks[row - first], float(does.rpm[row])
        else:
            drawn = seeds(seed, 27, phase, number, row).standard_normal(SPEC.block, np.float32)
            values, rpm = np.float32(IDLE_RMS) * drawn, 0.0
        t_ns = begin_ns + row * PERIOD_S * SECOND_NS
        yield encode_block(values, t_ns=t_ns - span_ns, rate_hz=SPEC.rate_hz, rpm=rpm)


def waveform_toml() -> str:
    """The `[[asset.waveform]]` that makes the monitor's channels of the blocks."""
    names = zip(PUBLISHED, BLOCK_CHANNELS, strict=True)
    channels = ", ".join(f'{feature} = "{channel}"' for (feature, _), channel in names)
    levels = ", ".join(
        f'"{feature}"' for feature, level in PUBLISHED if level and "envelope" not in feature
    )
    return f"""
[[asset.waveform]]
tag = "vibration"
topic = "{BLOCK_TOPIC}"
encoding = "float32"
header = true
rate_hz = {SPEC.rate_hz}
block = {SPEC.block}
every_ms = {1000 * PERIOD_S}
speed = "{CHANNEL_NAMES[0]}"
speed_age_ms_max = {3000 * PERIOD_S}
rpm_min = {SPEC.rpm_min}
rpm_max = {SPEC.rpm_max}
stages = [{{ driving = {STAGE.driving}, driven = {STAGE.driven} }}]
bearings = [{{ name = "{BEARING.name}", balls = {BEARING.balls}, \
ball_mm = {BEARING.ball_mm}, pitch_mm = {BEARING.pitch_mm} }}]
median_blocks = {MEDIAN}
levels = [{levels}]
channels = {{ {channels} }}
"""
