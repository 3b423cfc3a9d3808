"""`andon audit`, `andon keys` and `andon sign`: what they print, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.audit.signatures import unsigned_because, verify
from edge.audit.trail import AuditTrail
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.records import Audited
from edge.trust import Signs

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def called(*arguments: str) -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(andon.app, [*arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway with a trail of three entries."""
    path = tmp_path / "gateway.toml"
    path.write_text('site = "s"\n[model]\nbundle = "b"\n[journal]\ndir = "kept"\n', "utf-8")
    trail = AuditTrail(tmp_path / "kept" / "audit", bytes_max=1 << 20, days_max=9)
    whats = (("suppressed", "r1"), ("confirmed", "r1"), ("suppressed", "r2[red]"))
    for i, (what, asset) in enumerate(whats):
        facts: dict[str, str | int] = {"alert_id": f"{asset}-{i}", "operator": "ann"}
        t_ns = (1_760_000_000 + 60 * i) * 10**9
        trail.write([Audited(what=what, asset=asset, t_ns=t_ns, facts=facts)])
    trail.close()
    return path


def test_verify_ends_with_0_or_with_1_and_the_place(config: Path) -> None:
    """File, line, expected, found; the newest hash to be noted elsewhere."""
    whole = called("audit", "verify", "--config", str(config))
    assert whole.exit_code == 0
    assert "4 records in 1 files are whole, sequences 1 to 4" in whole.output
    head = whole.output.rsplit(maxsplit=1)[-1]
    directory = config.parent / "kept" / "audit"
    assert called("audit", "verify", str(directory), "--holds", head).exit_code == 0
    file = directory / "00000001.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    cut = called("audit", "verify", str(directory), "--holds", head)
    assert cut.exit_code == 1
    assert "the end was cut" in cut.output
    file.write_bytes(b"".join([lines[0], *lines[2:]]))
    broken = called("audit", "verify", str(directory))
    assert broken.exit_code == 1
    for part in ("00000001.jsonl, line 2", "expected: sequence 2", "found:    sequence 3"):
        assert part in broken.output
    assert called("audit", "verify").exit_code == 2
    assert called("audit", "verify", str(directory), "--config", str(config)).exit_code == 2


def test_show_filters_and_gives_json_lines_as_they_stand(config: Path) -> None:
    """By asset, since a time, by kind; a table for people, markup is text."""

    def shown(*options: str) -> list[str]:
        done = called("audit", "show", "--config", str(config), "--json", *options)
        return [json.loads(line)["what"] for line in done.output.splitlines()]

    assert shown() == ["file_begins", "suppressed", "confirmed", "suppressed"]
    assert shown("--asset", "r1") == ["suppressed", "confirmed"]
    assert shown("--what", "suppressed") == ["suppressed", "suppressed"]
    since = ("--since", "2025-10-09T10:54:20+02:00", "--asset", "r2[red]")
    assert shown(*since) == ["suppressed"]
    assert shown("--since", "2025-10-09T08:54:20Z", "--asset", "r1") == ["confirmed"]
    table = called("audit", "show", "--config", str(config)).output
    assert "r2[red]" in table
    refused = called("audit", "show", "--config", str(config), "--since", "yesterday")
    assert isinstance(refused.exception, ConfigError)
    refused = called("audit", "show", "--config", str(config), "--what", "nonsense")
    assert isinstance(refused.exception, ConfigError)
    for part in ("'nonsense'", "suppressed", "checked_in", "file_begins"):
        assert part in str(refused.exception)
    assert shown("--what", "shelved") == [], "a kind that there is, and nothing is of it"


def test_an_emptied_trail_is_not_whole(config: Path) -> None:
    """It ends with 1 and the file."""
    directory = config.parent / "kept" / "audit"
    (directory / "00000001.jsonl").write_bytes(b"")
    emptied = called("audit", "verify", str(directory))
    assert emptied.exit_code == 1
    assert "00000001.jsonl, line 1" in emptied.output
    assert "an empty file" in emptied.output


@pytest.mark.parametrize("group", ["audit", "keys", "eval"])
def test_the_help_of_a_group_has_an_example(group: str) -> None:
    """One that can be typed."""
    assert f"Example: `andon {group} " in called(group, "--help").output


def test_a_key_signs_what_a_gateway_with_its_public_half_believes(tmp_path: Path) -> None:
    """From the command line into a configuration."""
    made = called("keys", "new", str(tmp_path / "keys"), "--name", "ann")
    public = (tmp_path / "keys" / "ann.pub").read_text("utf-8").strip()
    assert f'public_keys = ["{public}"]' in made.output
    config = tmp_path / "gateway.toml"
    trust = f'[trust]\nrequire_signed = true\npublic_keys = ["{public}"]\n'
    operators = f'[trust.operators]\n"ann" = "{public}"\n'
    config.write_text(f'site = "s"\n[model]\nbundle = "b"\n{trust}{operators}', "utf-8")
    settings = load(config).settings
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_bytes(b"{}\n")
    key = str(tmp_path / "keys" / "ann.key")
    assert called("sign", str(jobs), "--key", key).exit_code == 0
    assert unsigned_because(jobs, settings.trust.may_sign(Signs.JOBS), now_ns=0) == ""
    command = tmp_path / "command.json"
    command.write_text('{"ts": 1, "proposal_id": "WO-1"}', encoding="utf-8")
    topic = "andon/s/cmd/ann/confirm"
    payload = called("sign", str(command), "--key", key, "--topic", topic).output
    body = msgspec.json.decode(payload)
    signed = f'{topic}\n{{"proposal_id":"WO-1","ts":1}}'.encode()
    assert verify(settings.trust.operators["ann"], signed, body["signature"])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[trust]\nrequire_signed = true\n", "without public_keys"),
        ('[trust]\npublic_keys = ["x"]\n', "no public key"),
        ("[trust]\nrequire_signd = true\n", "did you mean require_signed"),
        ("[audit]\nbytes_max = 5\n", "expected 1048576"),
        ("[audit]\ndays_max = 0\n", "expected 1 to"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(tmp_path: Path, text: str, cause: str) -> None:
    """Where it stands, and what was expected."""
    config = tmp_path / "gateway.toml"
    config.write_text(f'site = "s"\n[model]\nbundle = "b"\n{text}', "utf-8")
    with pytest.raises(ConfigError, match=cause) as caught:
        load(config)
    assert text.split("]", maxsplit=1)[0][1:] in str(caught.value)
