"""The tutorial's blocks, run in order as they stand; only the ports are other ones."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from simulator.broker import free_port

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^## (.*?)$.*?```sh\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


def _script(port: int, page: int) -> str:
    """One script of all blocks, that stops at the first command that fails and tells times."""
    lines = ["set -eu"]
    lines.append(f'mosquitto_sub() {{ command mosquitto_sub -p {port} "$@"; }}')
    for title, block in BLOCKS:
        text = block.replace("1883", str(port)).replace("8080", str(page))
        text = re.sub(r"andon (replay|discover) ", rf"andon \1 --port {port} ", text)
        lines += ["SECONDS=0", text, f'echo "TOOK $SECONDS s: {title}"']
        lines.append(f"[ ! -f cell/gateway.toml ] || sed -i s/1883/{port}/ cell/gateway.toml")
    return "\n".join(lines)


@pytest.mark.usefixtures("mosquitto_of")
def test_the_tutorial_works_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a broker to an alert, with what a newcomer would type."""
    assert len(BLOCKS) == PAGE.count("```sh")
    path = f"{tmp_path}/bin:{os.environ.get('PATH', '')}:/usr/sbin"
    command = tmp_path / "bin" / "andon"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m andon "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    out = tmp_path / "out.txt"
    with out.open("w") as sink:
        script = ["bash", "-c", _script(free_port(), free_port())]
        shell = subprocess.Popen(
            script, cwd=tmp_path, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            code = shell.wait(240)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    said = out.read_text(encoding="utf-8")
    assert code == 0, said[-4000:]
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *re.findall(r"^TOOK .*$", said, re.MULTILINE), ""]))
    alert = json.loads(re.findall(r"^\{.*\}$", said, re.MULTILINE)[-1])
    assert alert["asset"] in {"r1", "r2"}
