"""The command that takes a model in that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import ConfigFile, MappingFile, Recording, Rows, console

Window = Annotated[int, typer.Option(help="Samples a window, where the model does not say.", min=0)]
LayoutName = Annotated[
    str, typer.Option(help="Of a window: rows, columns, flat_rows or flat_columns.")
]
Output = Annotated[str, typer.Option(help="The output that counts, where it has several.")]
KindName = Annotated[
    str, typer.Option(help="score, reconstruction or forecast; else by its shape.")
]
HigherIs = Annotated[
    str, typer.Option("--higher-is", help="Of a score: strange or normal; else by trying.")
]
Scaling = Annotated[
    str, typer.Option(help="none: engineering units; standard: sigmas from the rows' mean.")
]

TickMsMax = Annotated[
    float, typer.Option(help="What a new sample of an asset may take; 0: any time.", min=0.0)
]
Hop = Annotated[
    int, typer.Option(help="Samples between the windows that it is asked about.", min=1)
]
Jobs = Annotated[
    Path | None, typer.Option(help="Jobs, one JSON a line: not calibrated on.", exists=True)
]
Snapshot = Annotated[
    Path | None, typer.Option(help="Snapshot whose orders are not calibrated on.", exists=True)
]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def model_import(
    model: Annotated[Path, typer.Argument(help="An ONNX file.", exists=True, dir_okay=False)],
    recording: Recording,
    out: Annotated[Path, typer.Option("-o", "--out", help="Bundle directory to write.")],
    into: Annotated[
        Path | None, typer.Option(help="Parent bundle of the same model, to add assets to.")
    ] = None,
    rows: Rows = "",
    channels: Annotated[
        str, typer.Option(help="What the model takes, in its order: a,b,c; else every channel.")
    ] = "",
    assets: Annotated[str, typer.Option(help="Of a journal: asset ids; else all.")] = "",
    window: Window = 0,
    layout: LayoutName = "",
    output: Output = "",
    kind: KindName = "",
    higher_is: HigherIs = "",
    scaling: Scaling = "",
    tick_ms_max: TickMsMax = 20.0,
    hop: Hop = 1,
    alerts_per_day: Annotated[
        float, typer.Option(help="Budget of an operator; 0: the parent's, or the default.")
    ] = 0.0,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: ConfigFile = None,
    jobs: Jobs = None,
    kb: Snapshot = None,
) -> None:
    """Make a bundle of an ONNX model of your own, calibrated on a recording of normal operation.

    It may give a score, its input again, or the next sample, for windows (N, w, c), (N, c, w),
    (N, w c) or single samples (N, c). Without an input `valid` it never suppresses.

    Examples: `andon model import forest.onnx press.csv -o bundles/forest --rows 0:2000`,
    `andon model import ae.onnx shift1 -o bundles/ae --layout rows --scaling standard`
    """
    from edge.bundles.model_import import import_recording
    from edge.bundles.training import FitRequest
    from models.foreign.adopt import ImportOptions

    request = FitRequest(
        recording=recording,
        out=out,
        into=into,
        rows=rows,
        alerts_per_day=alerts_per_day or None,
        mapping=mapping,
        asset=asset,
        config=config,
        jobs=jobs,
        kb=kb,
    )
    options = ImportOptions(
        window=window or None,
        layout=layout or None,
        output=output or None,
        kind=kind or None,
        higher_is=higher_is or None,
        scaling=scaling or None,
        tick_ms_max=tick_ms_max,
        hop=hop,
    )
    import_recording(
        model,
        request,
        options,
        assets=_names(assets),
        channels=_names(channels),
        console=console(),
    )
