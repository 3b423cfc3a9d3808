"""`andon model import` with what people really have: a stock forest, a torch export."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

import andon
from models.bundles.store import load
from models.foreign.imported import ImportedSpec
from tests.models import foreign_models as theirs
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS = 2400
FAULT = slice(2000, 2100)
FITTED = "0:1600"


def table(directory: Path) -> tuple[Path, NDArray[np.float64]]:
    """A recording of four channels at 1 Hz, with a fault; and its values (n, 4)."""
    x = plant(ROWS, seed=11)
    x[FAULT] += 9.0 * x[:1600].std(axis=0) * [0.0, 1.0, 0.0, 0.0]
    lines = ["c0,c1,c2,c3", *(",".join(map(repr, row)) for row in x.tolist())]
    path = directory / "press.csv"
    path.write_text("\n".join(lines) + "\n")
    channels = "\n".join(f'c{i} = {{ unit = "" }}' for i in range(4))
    (directory / "press.toml").write_text(
        f'asset = "press"\n[time]\nperiod_s = 1.0\n[channels]\n{channels}\n'
    )
    return path, x


def import_and_backtest(
    directory: Path, content: bytes, *options: str
) -> tuple[str, ImportedSpec, list[dict[str, Any]]]:
    """What the import told, the shape in the bundle, and the episodes of a backtest."""
    path, _ = table(directory)
    (directory / "theirs.onnx").write_bytes(content)
    bundle = directory / "bundle"
    named = ["--mapping", str(directory / "press.toml")]
    arguments = ["model", "import", str(directory / "theirs.onnx"), str(path), "-o", str(bundle)]
    done = CliRunner().invoke(andon.app, [*arguments, *named, "--rows", FITTED, *options])
    assert done.exit_code == 0, (done.output, done.exception)
    spec = load(bundle).only.spec
    assert isinstance(spec, ImportedSpec)
    report = directory / "report.json"
    arguments = ["backtest", str(path), "--bundle", str(bundle), "--report", str(report)]
    ran = CliRunner().invoke(andon.app, [*arguments, *named])
    assert ran.exit_code == 0, (ran.output, ran.exception)
    return done.output, spec, json.loads(report.read_bytes())["alerts"]


def within_the_fault(episodes: list[dict[str, Any]]) -> bool:
    """Whether one begins in the fault; rows are a second apart, from midnight on."""
    begins = [one["begin_ns"] // 10**9 % 86_400 for one in episodes]
    return any(FAULT.start <= begin < FAULT.stop for begin in begins)


def test_a_forest_made_by_hand_becomes_a_detector(tmp_path: Path) -> None:
    """It is imported, calibrated, and finds the fault in a backtest."""
    _, x = table(tmp_path)
    low, high = x[:1600].min(axis=0).tolist(), x[:1600].max(axis=0).tolist()
    told, spec, episodes = import_and_backtest(tmp_path, theirs.stump(low, high))
    assert "--higher-is normal" in told
    assert spec.kind == "score"
    assert within_the_fault(episodes), episodes


@pytest.mark.filterwarnings("default")  # of the libraries
@pytest.mark.not_counted
def test_a_stock_isolation_forest_becomes_a_detector(tmp_path: Path) -> None:
    """As scikit-learn fits and skl2onnx converts it: label and scores, lower is stranger."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    skl2onnx = pytest.importorskip("skl2onnx")
    _, x = table(tmp_path)
    fitted = ensemble.IsolationForest(n_estimators=20, random_state=0)
    fitted.fit(x[:1600].astype(np.float32))
    made = skl2onnx.to_onnx(
        fitted, x[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3}
    )
    told, spec, episodes = import_and_backtest(tmp_path, made.SerializeToString())
    assert "output scores counts, of label, scores" in told
    assert (spec.sign, spec.kind, spec.window, spec.masks) == (-1, "score", 1, False)
    assert spec.origin.opsets == ("ai.onnx 18", "ai.onnx.ml 3")
    assert within_the_fault(episodes), episodes


@pytest.mark.filterwarnings("default")  # likewise
@pytest.mark.parametrize("batch", [None, 1])
def test_an_autoencoder_exported_from_torch_becomes_a_detector(
    tmp_path: Path, batch: int | None
) -> None:
    """A small one of windows (N, 8, 4) of sigmas, trained here; any batch, and a batch of one."""
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    _, x = table(tmp_path)
    z = (x[:1600] - x[:1600].mean(axis=0)) / x[:1600].std(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(z, 8, axis=0).transpose(0, 2, 1)
    data = torch.tensor(np.ascontiguousarray(windows), dtype=torch.float32)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(32, 20),
        torch.nn.Tanh(),
        torch.nn.Linear(20, 32),
        torch.nn.Unflatten(1, (8, 4)),
    )
    steps = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        steps.zero_grad()
        torch.nn.functional.mse_loss(net(data), data).backward()
        steps.step()
    file = io.BytesIO()
    axes = {} if batch else {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
    torch.onnx.export(
        net.eval(), (data[:1],), file, input_names=["x"], output_names=["y"], dynamo=False, **axes
    )
    told, spec, episodes = import_and_backtest(tmp_path, file.getvalue())
    assert "taken as --scaling standard" in told
    assert (spec.kind, spec.window, spec.layout, spec.scaled) == ("reconstruction", 8, "rows", True)
    assert spec.origin.batch == (batch or 0)
    assert within_the_fault(episodes), episodes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--channels", "c0,odd"], "no channel odd"),
        (["--channels", "c0,c0,c1,c2"], "named twice"),
        (["--higher-is", "odd"], "expected strange or normal"),
        (["--window", "7"], "not --window 7"),
        (["--assets", "odd"], "has no odd"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    path, _ = table(tmp_path)
    (tmp_path / "theirs.onnx").write_bytes(theirs.squares(["N", 4]))
    model, out = str(tmp_path / "theirs.onnx"), tmp_path / "out"
    mapping = str(tmp_path / "press.toml")
    done = CliRunner().invoke(
        andon.app,
        ["model", "import", model, str(path), "-o", str(out), "--mapping", mapping, *options],
    )
    assert done.exit_code != 0
    assert says in f"{done.exception}{capsys.readouterr().err}{done.output}"
    assert not out.exists()


def test_channels_are_given_in_the_order_that_is_named(tmp_path: Path) -> None:
    """A model of two channels takes those two, and the bundle has no others."""
    path, _ = table(tmp_path)
    (tmp_path / "theirs.onnx").write_bytes(theirs.squares(["N", 2]))
    arguments = ["model", "import", str(tmp_path / "theirs.onnx"), str(path)]
    arguments += ["-o", str(tmp_path / "out"), "--channels", "c2, c0", "--rows", FITTED]
    arguments += ["--mapping", str(tmp_path / "press.toml"), "--higher-is", "strange"]
    done = CliRunner().invoke(andon.app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    names = [channel.name for channel in load(tmp_path / "out").assets[0].channels]
    assert names == ["c2", "c0"]
