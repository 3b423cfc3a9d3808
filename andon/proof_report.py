"""The report of `andon prove` as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from andon.proof_words import KINDS, WAVE_KINDS, groups, said, sentences, sigma_of, verdict
from andon.report import Page, Series

if TYPE_CHECKING:
    from simulator.proof import AssetProof, ChannelProof, KindProof, Proof


_NAMES = KINDS | WAVE_KINDS


def page(proof: Proof) -> Page:
    """Verdict, a table an asset, a plot of detection share against size a channel."""
    built = Page("What would ring", lead=verdict(proof))
    built.text(
        f"Known faults were put into a copy of {proof.source}, one at a time, and the engine of"
        f" the gateway told what would have rung: {proof.trials} trials,"
        f" {proof.trials_a_size} of each kind and size on a channel, seed {proof.seed}, bundle"
        f" {proof.bundle_sha256[:12]}. A size counts as found when {proof.share_wanted:.0%} of its"
        " trials rang; the delay is the median of these."
    )
    for one in proof.assets:
        _asset(built, one)
    return built


def _asset(built: Page, proof: AssetProof) -> None:
    built.heading(proof.asset)
    built.bullets(sentences(proof))
    for what, sigma, names, channels in groups(proof):
        rows = []
        for one in channels:
            cells = {kind.kind: _cell(kind, one) for kind in one.kinds}
            told = (cells.get(kind, "-") for kind in names)
            rows.append((one.channel, sigma_of(one), *told, "blind" if one.blind else ""))
        built.table(
            (what, sigma, *names.values(), ""),
            rows,
            caption=f"The smallest size that rings, and after how long, within {proof.fault_s:g} s",
        )
    ways = [
        (one.channel, _NAMES[kind.kind], kind.rang_as, kind.named_share)
        for one in proof.channels
        for kind in one.kinds
        if kind.rang_as
    ]
    if ways:
        built.table(
            ("channel", "fault", "rang as", "channel named in"),
            ways,
            caption="Track and class of what rang; share of it that named the channel",
        )
    for one in proof.channels:
        _plot(built, one)


def _cell(kind: KindProof, channel: ChannelProof) -> str:
    """What the terminal shows, and the size in the channel's own unit."""
    if kind.found_size is None:
        return said(kind)
    return f"{said(kind)}: {kind.found_size:.3g}{f' {channel.unit}' if channel.unit else ''}"


def _plot(built: Page, channel: ChannelProof) -> None:
    """Share of the trials that rang against the size, a line a kind."""
    sized = [kind for kind in channel.kinds if kind.sizes_sigma]
    if not any(sum(kind.trials) for kind in sized):
        return
    unit = f" {channel.unit}" if channel.unit else ""
    built.lines(
        sized[0].sizes_sigma,
        [Series(name=_NAMES[kind.kind], values=kind.shares) for kind in sized],
        title=f"{channel.channel}: share that rang; one sigma is {channel.sigma:.3g}{unit}",
        x_name="size, sigmas",
        y_name="share of trials",
    )
