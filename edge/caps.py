"""Caps on what a message may bring, what the engine keeps of it, and what `health` lists.

A cap that is reached is counted, never silent. A bound that concerns one module alone stands at
its head, with its reason; what a plant may set stands in `EngineSettings`.
"""

from __future__ import annotations

from typing import Final

PAYLOAD_BYTES_MAX: Final = (
    1 << 20
)  # what stock brokers are set to pass; a second of 1,000 tags is 60 KiB
COMMAND_BYTES_MAX: Final = 4096  # a command is a few fields; a longer one is a mistake or an attack
VALUES_PER_MESSAGE_MAX: Final = 200_000  # 1.6 MB once decoded
OBJECTS_PER_MESSAGE_MAX: Final = 10_000  # JSON objects in one list; a gateway needs 10 us for each
# Values and times of one message that are read one by one, 3 us each: texts among columns, times as
# text or with fractions. All others are read at once, 0.1 us each.
SLOW_VALUES_MAX: Final = 20_000
# Topics by which something is looked up, in each place that does; begun anew where there are more.
# 10,000 assets with a topic a value have 80,000; the names are shared, a place has 100 bytes each.
TOPICS_KNOWN_MAX: Final = 1 << 17
CLOCK_BYTES_MAX: Final = 1024  # a clock tag is one number
TAG_SETS_TAGS_MAX: Final = 1 << 18  # tags of all ways to name tags together that are remembered
SPARKPLUG_BIRTHS_MAX: Final = 4096  # devices whose births are remembered
SPARKPLUG_NAMES_MAX: Final = 1 << 18  # of metrics in all of them; 30 MB
EDGES_MAX: Final = 12  # rising edges of one witness tag within EDGES_S: each opens a job
EDGES_S: Final = 60  # of plant time
ERROR_CHARS_MAX: Final = 500  # of what is told about a payload that cannot be used
ASSET_CHARS_MAX: Final = 64
ALERT_ID_CHARS_MAX: Final = 256  # asset or cause, track and time; a longer one is none of ours
OWN_TOPICS_MAX: Final = 4_096  # that are read back and wait; a portion of assets has 192
TAG_CHARS_MAX: Final = 200  # OPC UA browse names
TEXT_CHARS_MAX: Final = 500  # a reason or note of an operator

BLOCK_SAMPLES_MAX: Final = 1 << 18  # of a waveform in one message: 1 MiB as float32
BLOCKS_WAITING_SAMPLES_MAX: Final = 1 << 20  # of one waveform until the next tick; 21 s at 48 kHz
SPEEDS_MAX: Final = 256  # newest speeds beside a waveform; 2.5 s at 100 Hz

PENDING_ROWS_MAX: Final = 4096  # samples of one asset that wait to be closed; 41 s at 100 Hz
PENDING_CHANGES_MAX: Final = 4096  # context values of one asset that wait beside their samples
FILLED_ROWS_MAX: Final = (
    1 << 18
)  # grid samples made at once for gaps in sparse data; 17 MB with 8 channels
MODES_UNSEEN_MAX: Final = 64  # values of a mode tag that are told once each
BEATS_MAX: Final = 1024  # changes of a heartbeat that are kept until the samples beside them come
RING_SAMPLES: Final = 1024  # history of an asset: 17 minutes at 1 Hz, 33 kB with 8 channels
DRIFTS_MAX: Final = 32  # drifting assets that health lists; 1 KiB each
SHED_LISTED_MAX: Final = 32  # assets and topics that health lists of an overload
COMMISSIONS_MAX: Final = 32  # assets not in service that health lists; 600 bytes each
DRIFT_CHANNELS_MAX: Final = 3  # of each, the surest

assert RING_SAMPLES >= 600, "the level before a job looks back 600 samples (edge.verdicts.timeline)"
assert PENDING_ROWS_MAX >= RING_SAMPLES, "a batch may be longer than the history that it fills"

RECENT_RINGS_MAX: Final = 4096  # of the last ten minutes, in no group yet; the oldest are forgotten
NOTICES_MAX: Final = 16_384  # rings and ends that wait for their time; more are taken out of turn
GROUP_MEMBERS_MAX: Final = 2_000  # of one group alert; what comes then rings by itself
MEMBERS_LISTED_MAX: Final = 500  # in a payload, 200 bytes each; their number is told
SPANS_MAX: Final = 16  # floods of one cause in one group; the oldest are long over

# 2025-01-01: no box that runs this program lives before; a clock that says so was never set.
PLAUSIBLE_NS: Final = 1_735_689_600_000_000_000
