"""What health says of sources of Sparkplug B whose values have no names, or doubtful ones."""

from __future__ import annotations

from typing import Final

import msgspec

SPEAKERS_MAX: Final = 32  # assets that are listed of each


class SparkplugPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Assets of Sparkplug B that are not as they should be; the first 32 of each list."""

    waiting_for_birth: tuple[str, ...] = ()  # no birth names what they send
    dead: tuple[str, ...] = ()  # their source said that it is gone
    in_doubt: tuple[str, ...] = ()  # messages of their node are missing, a birth perhaps
    nodes_with_gaps: dict[str, int] = {}  # GROUP/NODE -> how often messages of it were missing
