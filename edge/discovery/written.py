"""Written: findings as a `gateway.toml` that `andon run` takes, with a comment at each guess."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from edge.discovery.judging import MS_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.discovery.findings import (
        Findings,
        FoundAsset,
        FoundChannel,
        FoundContext,
        FoundSource,
    )
    from edge.discovery.rhythm import Rhythm

HEAD: Final = """\
# Written by `andon discover` after listening for {seconds:.0f} s: {assets} assets,
# {channels} channels, {context} context tags. It runs as it stands: `andon check {name}`, then
# `andon run {name}`. Lines with "guess" are to be looked at; docs/discover.md says how each is
# made. Nothing here suppresses an alert: tags that may tell of work are commented out as
# witnesses, since only a person who knows the plant can say so.
"""
LEARNS: Final = """\
[model]
bundle = ""  # none yet: `andon learn` fits one of a recording, or the gateway learns its own

[commissioning]  # every asset learns for an hour, is then shown to engineers, and rings for
learn_minutes = 60.0  # operators once a person has accepted it (docs/commissioning.md)
period_s = {period}  # between two samples, until the first fit measures it
"""


def written(
    findings: Findings, *, site: str, prefix: str, mqtt: Mapping[str, str | int], name: str
) -> str:
    """The file's text. mqtt: keys of [mqtt] that are not the default; name: of the file."""
    return "\n".join(_lines(findings, site=site, prefix=prefix, mqtt=mqtt, name=name)) + "\n"


def _lines(
    findings: Findings, *, site: str, prefix: str, mqtt: Mapping[str, str | int], name: str
) -> Iterator[str]:
    assets = findings.assets
    yield HEAD.format(
        seconds=findings.seconds,
        assets=len(assets),
        channels=sum(len(one.channels) for one in assets),
        context=sum(len(one.context) for one in assets),
        name=name,
    )
    for note in findings.notes:
        yield f"# Note: {in_comment(note)}"
    yield f"site = {toml_text(site)}"
    if prefix != "andon":
        yield f"prefix = {toml_text(prefix)}"
    yield "\n[mqtt]"
    for key, value in mqtt.items():
        yield f"{key} = {toml_text(value) if isinstance(value, str) else value}"
    yield ""
    yield LEARNS.format(period=_number(findings.period_ns / SECOND_NS))
    if findings.late_ms_max:
        yield "[engine]"
        yield (
            f"late_ms_max = {findings.late_ms_max}  # guess: what comes is spread by half of it;"
            " an alert waits so long at most"
        )
        yield ""
    for source in findings.sources:
        yield from _source(source)
    for asset in assets:
        yield from _asset(asset)


def _source(source: FoundSource) -> Iterator[str]:
    yield "[[source]]"
    yield f"topic = {toml_text(source.topic)}"
    if source.asset:
        yield f"asset = {toml_text(source.asset)}"
    if source.form != "json":
        yield f"format = {toml_text(source.form)}"
    if source.asset_from:
        yield f"asset_from = {toml_text(source.asset_from)}  # guess: the asset in a value's name"
    if source.tag_from:
        yield f"tag_from = {toml_text(source.tag_from)}"
    if source.interval_ms_max:
        yield (
            f"interval_ms_max = {source.interval_ms_max}  # guess: four times the longest step"
            " that was seen; longer silence is a comms gap"
        )
    elif source.quiet:
        yield "# Nothing comes evenly here, and after 30 s of silence there is a comms gap. Say"
        yield "# how long it may be silent: interval_ms_max = 600000"
    yield ""


def _asset(asset: FoundAsset) -> Iterator[str]:
    yield f"[[asset]]  # {in_comment(asset.shape)}; {clock_of(asset)}"
    yield f"id = {toml_text(asset.id)}"
    held = [channel for channel in asset.channels if channel.held]
    if held:
        yield "on_change = [  # held while the source lives"
        for channel in held:
            yield f"  {toml_text(channel.tag)},  # guess: {in_comment(channel.held)}"
        yield "]"
    if asset.context:
        yield "context = [  # not scored"
        for tag in asset.context:
            yield from _context(tag)
        yield "]"
    if asset.mute:
        yield f"# without a value so far, and not configured: {in_comment(', '.join(asset.mute))}"
    yield "\n[asset.tags]  # tag = channel"
    for channel in asset.channels:
        yield f"{toml_text(channel.tag)} = {toml_text(channel.tag)}  # {rhythm_of_channel(channel)}"
    units = [channel for channel in asset.channels if channel.unit]
    if units:
        yield "\n[asset.units]"
        for channel in units:
            why = f"guess: {channel.unit_guess}" if channel.unit_guess else "as it is sent"
            yield f"{toml_text(channel.tag)} = {toml_text(channel.unit)}  # {in_comment(why)}"
    yield ""


def _context(tag: FoundContext) -> Iterator[str]:
    shown = f"; seen: {in_comment(tag.shown)}" if tag.shown else ""
    if tag.work is not None:
        kind = toml_text(tag.work.value)
        yield (
            f'  # {{ tag = {toml_text(tag.tag)}, role = "witness", kind = {kind},'
            ' instrument = "" },  # candidate, in place of the next line:'
        )
        yield "  # its rising edge would open a job, which may keep alerts quiet"
    more = ""
    if tag.role == "heartbeat":
        more = f", interval_ms_max = {tag.interval_ms_max}"
    elif tag.role == "run":
        more = ", running = [1]"
    yield (
        f"  {{ tag = {toml_text(tag.tag)}, role = {toml_text(tag.role)}{more} }},"
        f"  # guess: {in_comment(tag.why)}{shown}"
    )


def clock_of(asset: FoundAsset) -> str:
    """What is known of the clock of an asset's source."""
    if asset.offset is None:
        return "its clock is not known" if asset.timed else "it sends no times: arrival counts"
    ms, spread_ms = asset.offset.ns / MS_NS, asset.offset.spread_ns / MS_NS
    way = "behind" if ms < 0 else "ahead"
    return f"its clock, with the way here, is {abs(ms):.0f} ms {way}, spread {spread_ms:.0f} ms"


def rhythm_of_channel(channel: FoundChannel) -> str:
    """How a channel comes, and between what it was."""
    between = f"{channel.low:.6g} to {channel.high:.6g}"
    if channel.low == channel.high:
        between = f"always {channel.low:.6g}"
    return f"{pace(channel.rhythm)}, {between}"


def pace(rhythm: Rhythm) -> str:
    """A rhythm in words."""
    if not rhythm.sure:
        return "too few to tell"
    period, jitter = seconds(rhythm.period_ns), seconds(rhythm.jitter_ns)
    if rhythm.cyclic:
        return f"every {period} +- {jitter}"
    return f"by exception, about every {period}"


def seconds(ns: int) -> str:
    """A length of time as people read it."""
    if ns < SECOND_NS:
        return f"{ns / MS_NS:.3g} ms"
    return f"{ns / SECOND_NS:.4g} s"


def _number(value: float) -> str:
    assert math.isfinite(value)
    return repr(float(value))


def toml_text(value: str) -> str:
    """A TOML string; the escapes of JSON are among its own."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def in_comment(text: str) -> str:
    """A text that stays within its line."""
    return "".join(c if c.isprintable() else "?" for c in text)
