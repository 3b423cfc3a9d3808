"""The README's blocks, run in order as they stand; those tagged as not run are checked apart."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from tests.blocks import ROOT, Block, blocks_of, run_script, script_of, unproven
from tests.models.plants import plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

BLOCKS: Final = blocks_of((ROOT / "README.md").read_text(encoding="utf-8"))
STEP_S: Final = 0.05
RECORDED_S: Final = 25  # in place of the eight hours of a shift
FIRST_FIT: Final = "andon fit pump.csv -o bundles/pump --rows 0:400\n"
# It must refuse the table, and its draft becomes the file that the text asks for.
REFUSED: Final = f"""\
if {FIRST_FIT.strip()} 2> refused.txt; then echo "it took a table without a mapping"; exit 1; fi
sed '1,/--mapping FILE:/d' refused.txt > pump.toml
test -s pump.toml
"""
RUN: Final = "andon run gateway.toml\n"
# It runs until SIGTERM: here until it has spoken.
SPOKEN: Final = """\
andon run gateway.toml & gateway=$!
mosquitto_sub -p {port} -W 60 -t 'andon/plant1/health' -C 1
kill -TERM $gateway
wait $gateway
echo "the gateway ran and ended"
"""


@contextmanager
def _press(port: int) -> Iterator[None]:
    """The plant of the README: `press07`, a wide message every `STEP_S`, live, over real MQTT."""
    rows, over = plant(8000, seed=3, c=3).tolist(), threading.Event()

    def publish() -> None:
        begin_s = time.monotonic()
        with Publisher(Endpoint(port=port, client_id="press")) as publisher:
            for step, (force, stroke, oil) in enumerate(rows):
                signals = {"force": force, "stroke": stroke, "oil": oil}
                state = {"run_state": 1, "cal_mode": 0, "ts": time.time_ns() // 10**6}
                publisher.publish("plant/press07", msgspec.json.encode(signals | state))
                if over.wait(max(begin_s + (step + 1) * STEP_S - time.monotonic(), 0.0)):
                    return

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def _texts_and_table(where: Path) -> None:
    """What a reader has before the first command: a folder of documents, and a recording."""
    manual = "# Press 07\n\nA worn bearing shows as oil pressure that falls while force rises.\n"
    (where / "plant-docs").mkdir()
    (where / "plant-docs" / "press.md").write_text(manual, encoding="utf-8")
    rows = plant(900, seed=2, c=2).tolist()
    lines = [f"{i},{flow:.4f},{current:.4f}" for i, (flow, current) in enumerate(rows)]
    (where / "pump.csv").write_text("\n".join(["second,flow,current", *lines]))


def test_every_block_of_the_readme_works_as_it_stands(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """In order, from the configuration to a gateway, then a recording of one's own."""
    port = mosquitto.port
    changes = {
        'host = "127.0.0.1"': f'host = "127.0.0.1"\nport = {port}',
        "andon record ": f"andon record --port {port} ",
        "--seconds 28800": f"--seconds {RECORDED_S}",
        RUN: SPOKEN.format(port=port),
        FIRST_FIT: REFUSED,
    }
    _texts_and_table(tmp_path)
    with _press(port):
        said = run_script(script_of(BLOCKS, changes), tmp_path, 200.0)
    assert "the gateway ran and ended" in said
    assert said.count("TOOK ") == sum(not block.why for block in BLOCKS)
    assert (tmp_path / "bundles" / "line3").is_dir()
    assert (tmp_path / "bundles" / "pump").is_dir()


def test_blocks_that_cannot_run_call_what_is_there() -> None:
    """Their targets exist and the command line takes their options."""
    tagged = [block for block in BLOCKS if block.why]
    assert tagged
    assert not {block.line: unproven(block) for block in tagged if unproven(block)}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("make nothing-of-that-name", "No rule to make target"),
        ('make demo ARGS="--sede 7"', "No such option"),
        ("andon kb biuld plant-docs", "no command biuld"),
        ("andon demo --hours soon", "soon"),
        ("git clone somewhere", "nothing checks a call of git"),
    ],
)
def test_a_tag_hides_no_broken_line(line: str, why: str) -> None:
    """A block that is not run is looked at all the same."""
    (wrong,) = unproven(Block(1, "", "sh", line + "\n", "it cannot run here", ""))
    assert line in wrong
    assert why in wrong


@pytest.mark.parametrize("language", ["", "console", "python", "sh title=x"])
def test_a_block_that_nobody_runs_fails(language: str) -> None:
    """Whatever its language: a new block is run, tagged, or an error."""
    blocks = blocks_of(f"# A\n\n```{language}\ntrue\n```\n")
    with pytest.raises(AssertionError, match="line 3: nothing runs a block"):
        script_of(blocks, {})


def test_a_new_block_is_run_and_its_failure_heard(tmp_path: Path) -> None:
    """The command in the middle fails; what comes behind it is not reached."""
    page = "# A\n\n```sh\necho one\n```\n\n```sh\nfalse\n```\n\n```sh\necho three\n```\n"
    with pytest.raises(AssertionError, match="exit code 1") as failed:
        run_script(script_of(blocks_of(page), {}), tmp_path, 20.0)
    assert "one" in str(failed.value)
    assert "three" not in str(failed.value)


def test_a_change_that_no_block_needs_any_more_is_named() -> None:
    """Otherwise a test would go on to replace what the page no longer says."""
    with pytest.raises(AssertionError, match="no block says any more"):
        script_of(blocks_of("```sh\ntrue\n```\n"), {"andon record": "andon replay"})


def test_a_fence_left_open_is_told() -> None:
    """The rest of the page would be a block that nobody sees."""
    with pytest.raises(AssertionError, match="line 2: the block that begins here never ends"):
        blocks_of("text\n```sh\ntrue\n")
