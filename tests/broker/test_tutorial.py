"""The tutorial's blocks, run in order as they stand; only the ports are other ones."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final

import pytest

from simulator.broker import free_port
from tests.blocks import ROOT, blocks_of, run_script, script_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("mosquitto_of")
def test_the_tutorial_works_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a broker to an alert, with what a newcomer would type."""
    port = free_port()
    changes = {
        "1883": str(port),
        "8080": str(free_port()),
        "andon replay ": f"andon replay --port {port} ",
        "andon discover ": f"andon discover --port {port} ",
        "mosquitto_sub ": f"mosquitto_sub -p {port} ",
    }
    after = f"[ ! -f cell/gateway.toml ] || sed -i s/1883/{port}/ cell/gateway.toml"
    blocks = blocks_of(PAGE)
    assert not [block.line for block in blocks if block.why]
    said = run_script(script_of(blocks, changes, after), tmp_path, 240.0)
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *re.findall(r"^TOOK .*$", said, re.MULTILINE), ""]))
    alert = json.loads(re.findall(r"^\{.*\}$", said, re.MULTILINE)[-1])
    assert alert["asset"] in {"r1", "r2"}
