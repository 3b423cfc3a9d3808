"""What `andon prove` says of a proof, in its table, its lines and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.proof import AssetProof, ChannelProof, KindProof, Proof

KINDS = {
    "step": "step",
    "ramp": "ramp",
    "noise": "noise",
    "stuck": "stuck",
    "drop_out": "drop-out",
}  # as the engine's words say them
WAVE_KINDS = {
    "louder": "louder",
    "impulses": "impulses",
    "dead": "dead",
    "drop_out": "drop-out",
    "clipped": "clipped",
}  # of a waveform


def groups(
    proof: AssetProof,
) -> list[tuple[str, str, dict[str, str], list[ChannelProof]]]:
    """Channels, then waveforms, each with what they are called, a sigma, and their kinds."""
    waves = [one for one in proof.channels if one.waveform]
    plain = [one for one in proof.channels if not one.waveform]
    every = [
        ("channel", "one sigma", KINDS, plain),
        ("waveform", "usual RMS", WAVE_KINDS, waves),
    ]
    return [group for group in every if group[-1]]


def sigma_of(channel: ChannelProof) -> str:
    """A channel's usual spread with its unit."""
    if channel.sigma is None:
        return "-"
    return f"{channel.sigma:.3g}{f' {channel.unit}' if channel.unit else ''}"


def said(kind: KindProof) -> str:
    """One cell: how many sigmas and how soon, or how often the largest rang at least."""
    if not sum(kind.trials):
        return "not tried"
    if not kind.found:
        return f"no ({kind.rang[-1]}/{kind.trials[-1]})"
    size = "" if kind.found_sigma is None else f"{kind.found_sigma:g}σ "  # noqa: RUF001 - the letter
    return f"{size}{kind.delay_median_s:.0f} s"


def sentences(proof: AssetProof) -> list[str]:
    """What else an acceptance has to know of an asset, a line each."""
    rate = proof.rate
    states = {name.replace("_", " "): n / proof.samples for name, n in proof.states.items()}
    seen = ", ".join(f"{name} {share:.0%}" for name, share in states.items())
    lines = [
        f"{proof.begin} to {proof.end}, {proof.hours:.3g} h, days: {len(proof.days_seen)}; {seen}"
        + ("; only the newest, there was more" if proof.cut else ""),
        *(
            f"{tag}: {', '.join(f'{value} ({n} times)' for value, n in counted.items())}"
            for tag, counted in proof.context.items()
        ),
        f"Alerts without faults put in: {rate.alerts}, {rate.alerts_per_day:.3g} a day of"
        f" {rate.budget_per_day:.3g} in the budget"
        + (": TOO MANY" if rate.beyond else "")
        + f"; {rate.beside_work} beside work, {rate.sensor} of sensors, {rate.comms} of sources",
        "Samples without a score: " + _counted(proof.samples_unscored, f"none of {proof.samples}"),
        "Values refused: " + _counted(proof.values_refused, "none"),
    ]
    if proof.trials_void or proof.trials_unplaced:
        lines.append(
            f"{proof.trials_void} trials met an alert that was there before,"
            f" {proof.trials_unplaced} found no place"
        )
    lines += [f"Blind: {one.channel}: {one.because}" for one in proof.channels if one.blind]
    return lines


def _counted(counts: dict[str, int], none: str) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or none


def verdict(proof: Proof) -> str:
    """One sentence over all assets."""
    blind = sum(len(one.blind) for one in proof.assets)
    beyond = sum(one.rate.beyond for one in proof.assets)
    if proof.passed:
        return "Every channel rings, and the alerts are within the budget."
    return f"{blind} channels are blind; {beyond} assets ring more often than the budget bears."
