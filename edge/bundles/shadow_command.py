"""`andon model shadow`: a candidate behind the journal, until enough was seen."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import msgspec

from edge.bundles.model_life import in_shadow
from edge.bundles.shadow import Shadow
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.bundles.model_life import Life
    from edge.bundles.shadow import ShadowReport


def follow(
    life: Life,
    named: str,
    *,
    by: str,
    hours: float,
    once: bool,
    every_s: float,
    tell: Callable[[str], object],
    wait: Callable[[float], object] = time.sleep,
) -> ShadowReport:
    """Follow the journal with a candidate, keeping its report up to date; returns the last one.

    hours: of plant time to see, 0 no end. Ctrl-C ends it too, and so does `off`. Raises AndonError,
    ModelError or KnowledgeError.
    """
    sha256 = life.shadowed(named, by=by)
    shadow = Shadow(life.config, life.store, sha256)
    try:
        while True:
            taken = shadow.turn()
            report = shadow.report()
            if taken:
                life.store.write_report(sha256, msgspec.json.encode(report))
            if once or (hours and report.hours >= hours):
                break
            if shadow.moved_on:
                raise ConfigError("another bundle counts now; begin again to compare with that")
            if in_shadow(life.store.history()) != sha256:
                return report
            tell(f"{report.hours:.3g} h, {report.samples} samples")
            wait(every_s)
    except KeyboardInterrupt:
        report = shadow.report()
    finally:
        shadow.close()
    life.unshadow(by=by)
    return report


def lines_of(report: ShadowReport) -> Iterator[str]:
    """The report for people."""
    old, new = report.current, report.candidate
    yield (
        f"{new.bundle_sha256[:12]} beside {old.bundle_sha256[:12]}: {report.samples} samples in"
        f" {report.hours:.3g} h of plant time"
    )
    for name, side in (("current", old), ("candidate", new)):
        yield (
            f"  {name}: {side.alerts} alerts ({side.alerts_per_day:.3g} a day),"
            f" {side.us_per_sample:.3g} us a sample, no score for {side.unscored_share:.2%}"
        )
    agreement = "no alerts" if math.isnan(report.agreement) else f"{report.agreement:.0%}"
    yield f"  of all alerts both rang {report.both}: agreement {agreement}"
    if not math.isnan(report.delay_s_median):
        yield f"  the candidate rang {report.delay_s_median:+.3g} s later (median)"
    worse = report.worse_because()
    yield "better, by the rule of `--if-better`" if not worse else "not better:"
    for line in worse:
        yield f"  {line}"
