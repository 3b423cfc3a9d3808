"""A plant of two machines with a bundle, and brokers made for it by `andon broker`."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typer.testing import CliRunner

import andon
from edge.brokers.endpoint import Endpoint
from edge.bundles.training import fit_bundle
from models.bundles.bundle import Channel
from models.bundles.store import save
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import Bundle

ASSETS: Final = ("r1", "r2")
PASSWORD: Final = "correct horse"
OPERATORS: Final = ("ann", "bea")
ROOT: Final = "andon/s"


def small_bundle() -> Bundle:
    """Two machines with two channels that nothing is known to be wrong with."""
    rng = np.random.default_rng(5)
    parts = [
        TrainingSamples(
            asset=asset,
            channels=(Channel(name="current", unit="A"), Channel(name="voltage", unit="V")),
            values=rng.normal(size=(400, 2)).astype(np.float32),
            period_ns=1_000_000_000,
        )
        for asset in ASSETS
    ]
    return fit_bundle([(one, "rows") for one in parts])


def settings(folder: Path, **tables: Any) -> Path:  # noqa: ANN401 - as TOML has them
    """Write gateway.toml with tables such as `mqtt={"port": 1}` beside a bundle.

    `mqtt__output` is [mqtt.output]; a list of tables is [[source]] and the like.
    """
    save(small_bundle(), folder / "bundle")
    lines = ['site = "s"']
    for name, given in {"model": {"bundle": "bundle"}, **tables}.items():
        title = name.replace("__", ".")
        for table in given if isinstance(given, list) else [given]:
            lines.append(f"[[{title}]]" if isinstance(given, list) else f"[{title}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def invoke(*arguments: str | Path) -> str:
    """Run a command of ours that has to succeed; returns what it prints."""
    result = CliRunner().invoke(andon.app, [str(one) for one in arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def refused(*arguments: str | Path) -> None:
    """Run a command of ours that has to fail, and let its error out."""
    result = CliRunner().invoke(andon.app, [str(one) for one in arguments])
    assert result.exception is not None
    raise result.exception


def passwords(directory: Path, *names: str) -> None:
    """Give every account the password of these tests, as NEXT.txt says."""
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto comes with it"
    create = ["-c"]
    for name in names:
        command = [program, *create, "-b", str(directory / "passwd"), name, PASSWORD]
        subprocess.run(command, check=True, capture_output=True)
        create = []


def as_user(port: int, name: str, password: str = PASSWORD) -> Endpoint:
    """Where and as whom to connect."""
    return Endpoint(port=port, username=name, password=password)
