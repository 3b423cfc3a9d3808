"""What a gateway asks of a fit, and what it hears; a start need not load the fit itself."""

from __future__ import annotations

import msgspec

from edge.configuration.config import GatewayConfig
from edge.records import Job
from edge.samples.sparkplug import Birth


class LearnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to fit. since_ns: of each asset, from which plant time on its rows count.

    until_ns: likewise, when the newest of these came, if that is known; what stood still since then
    is no row of them. jobs: that the gateway knows of, for those told before what is read. births:
    of Sparkplug B, likewise.
    """

    config: GatewayConfig
    bundle_sha256: str
    since_ns: dict[str, int]
    until_ns: dict[str, int] = {}
    jobs: tuple[Job, ...] = ()
    births: dict[str, Birth] = {}


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. bundle_sha256 "": no bundle; rows: of each fitted asset; failed: why not."""

    bundle_sha256: str = ""
    rows: dict[str, int] = {}
    failed: dict[str, str] = {}
