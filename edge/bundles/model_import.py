"""Somebody else's model as a bundle: an ONNX file, calibrated on normal operation."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from edge.bundles.fit_words import described
from edge.bundles.training import requested_positions, requested_samples
from edge.configuration.config import need_bundle
from edge.errors import RecordingError
from models.bundles.assemble import make_bundle
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from models.foreign.adopt import import_asset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from edge.bundles.training import FitRequest
    from models.foreign.adopt import ImportOptions
    from models.samples import TrainingSamples


def import_recording(
    model: Path,
    request: FitRequest,
    options: ImportOptions,
    *,
    assets: Sequence[str] = (),
    channels: Sequence[str] = (),
    console: Console,
) -> None:
    """Calibrate a model on the assets of a recording and write a bundle.

    assets: of a journal, () all. channels: those that the model takes, in its order, () all in the
    recording's. Raises AndonError or ModelError.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    begin_s = time.monotonic()
    assert request.recording is not None, "it is calibrated on one"
    content = model.read_bytes()
    parent = load_bundle(need_bundle(request.into)) if request.into else None
    chosen = _of_assets(requested_samples(request, tell), assets, request.recording)
    positions = requested_positions(request, chosen, parent, tell)
    fits, taken = [], {}
    for samples, alignment in chosen:
        one = in_order(samples, channels)
        names = ", ".join(channel.name for channel in one.channels)
        tell(f"{one.asset}: the model is given {names}, in this order")
        fits.append(
            import_asset(
                one,
                content,
                file=model.name,
                options=msgspec.structs.replace(options, alignment=alignment),
                tell=lambda line, asset=one.asset: tell(f"{asset}: {line}"),  # type: ignore[misc]
            )
        )
        taken[one.asset] = one
    bundle = make_bundle(
        fits,
        parent=parent,
        alerts_per_day=request.alerts_per_day,
        positions=positions,
        created_at_ns=time.time_ns(),
    )
    save_bundle(bundle, request.out)
    took_s = time.monotonic() - begin_s
    tell(f"{request.out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}, {took_s:.1f} s")
    for line in described(bundle, taken):
        tell(f"  {line}")


def _of_assets(
    found: list[tuple[TrainingSamples, str]], assets: Sequence[str], recording: Path
) -> list[tuple[TrainingSamples, str]]:
    """The samples of these assets. Raises RecordingError for one that the recording has not."""
    there = [samples.asset for samples, _ in found]
    if strangers := [name for name in assets if name not in there]:
        raise RecordingError(
            f"{recording} has no {', '.join(strangers)}; it has {', '.join(there) or 'no asset'}"
        )
    return [one for one in found if not assets or one[0].asset in assets]


def in_order(samples: TrainingSamples, channels: Sequence[str]) -> TrainingSamples:
    """The samples with these channels alone, in this order; () as they are.

    Raises RecordingError for a channel that there is not, or that is named twice.
    """
    if not channels:
        return samples
    names = [channel.name for channel in samples.channels]
    strangers = [name for name in channels if name not in names]
    if strangers or len(set(channels)) < len(channels):
        wrong = f"no channel {', '.join(strangers)}" if strangers else "a channel named twice"
        raise RecordingError(f"--channels: {samples.asset} has {wrong}; it has {', '.join(names)}")
    at = [names.index(name) for name in channels]
    return replace(
        samples,
        channels=tuple(samples.channels[i] for i in at),
        values=samples.values[:, at],
    )
