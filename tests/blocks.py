"""The fenced blocks of a page: who runs them, and what is looked at where none can be run.

Every block is run, in the order of the page, by one shell that stops at the first command that
fails. Only a block with `<!-- not run: WHY -->` on the line before it is not; then each of its
lines must be something that `unproven` can check, so that no tag hides a broken line.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import typer.main

import andon

ROOT: Final = Path(__file__).resolve().parent.parent
LANGUAGES: Final = ("sh", "toml")  # a shell script can be made of them
TAG: Final = re.compile(r"<!-- not run: (\S.*) -->")
FENCE: Final = re.compile(r"^\s*(```+|~~~+)(.*)$")


class Block(NamedTuple):
    """One fenced block; `why` says why it is not run, "" where it is."""

    line: int  # of its first fence in the page, from 1
    section: str  # the heading before it
    language: str
    text: str
    why: str
    file: str  # the file that the lines before it name last, for a configuration


def blocks_of(text: str) -> list[Block]:
    """Every fenced block of a page, whatever its language; a fence left open is an error."""
    found, section, file = [], "", ""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            heading = re.match(r"#+ (.*)", lines[at])
            section = heading[1] if heading else section
            file = ([file, *re.findall(r"`([\w./-]+\.toml)`", lines[at])])[-1]
            at += 1
            continue
        mark, language = fence[1], fence[2].strip()
        ends = [i for i in range(at + 1, len(lines)) if lines[i].strip() == mark]
        assert ends, f"line {at + 1}: the block that begins here never ends; write {mark} behind it"
        tag = TAG.fullmatch(lines[at - 1].strip()) if at else None
        body = "\n".join(lines[at + 1 : ends[0]]) + "\n"
        found.append(Block(at + 1, section, language, body, tag[1] if tag else "", file))
        at = ends[0] + 1
    return found


def script_of(blocks: list[Block], changes: dict[str, str], after: str = "") -> str:
    """One script of all blocks that are run; it tells what each took.

    `changes`: what a page says -> what a test says instead, as a port. Each must be found, so
    that none outlives its line. `after` is added behind each block.
    """
    lines, left = ["set -eu"], set(changes)
    for block in blocks:
        if block.why:
            continue
        assert block.language in LANGUAGES, (
            f"line {block.line}: nothing runs a block of {block.language or 'no language'}; "
            f"expected {' or '.join(LANGUAGES)}, or <!-- not run: WHY --> before what is checked"
        )
        text = block.text
        for old, new in changes.items():
            if old in text:
                left.discard(old)
                text = text.replace(old, new)
        if block.language == "toml":
            text = f"cat > {shlex.quote(block.file)} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK"
        lines += ["SECONDS=0", text, f'echo "TOOK $SECONDS s: {block.section}"', after]
    assert not left, f"no block says any more: {sorted(left)}; take it out of the changes"
    return "\n".join(lines)


def unproven(block: Block) -> list[str]:
    """What of a block that is not run could not be checked either, with the reason.

    A line may call `make` with a target that is there, or `andon` with options that its command
    takes. What `make` would do is asked of it; the `andon` in it is parsed, not called.
    """
    wrong = []
    for line in filter(None, (text.split("  #")[0].strip() for text in block.text.splitlines())):
        words = shlex.split(line)
        if words[0] == "make":
            asked = ["make", "--dry-run", *words[1:]]
            done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                wrong.append(f"{line}: {done.stderr.strip()}")
            called = re.findall(r"^\S*/andon (.*)$", done.stdout, re.MULTILINE)
            wrong += [f"{line}: {why}" for why in map(refusal, called) if why]
        elif words[0] == "andon":
            wrong += [f"{line}: {why}" for why in [refusal(shlex.join(words[1:]))] if why]
        else:
            wrong.append(f"{line}: nothing checks a call of {words[0]}; expected make or andon")
    return wrong


def refusal(arguments: str) -> str:
    """Why the command line refuses these arguments, "" if it takes them. Nothing is called."""
    command, left = typer.main.get_command(andon.app), shlex.split(arguments)
    while children := getattr(command, "commands", None):
        name = left.pop(0) if left else "nothing"
        if name not in children:
            return f"no command {name}; there are {', '.join(sorted(children))}"
        command = children[name]
    try:
        command.make_context(command.name, left)
    except Exception as error:  # noqa: BLE001 - typer carries a click of its own, with its own errors
        return str(error) or type(error).__name__
    return ""


def run_script(script: str, where: Path, limit_s: float) -> str:
    """Run it with bash in a folder, with this tree's `andon`; returns all that was said.

    Whatever it started is ended with it. A command that fails, or a script that takes longer than
    `limit_s`, fails the test with the end of what was said.
    """
    command = where / "bin" / "andon"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m andon "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ.get('PATH', '')}:/usr/sbin"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    out = where / "out.txt"
    code: int | None = None
    with out.open("w") as sink:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=where,
            env=env,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        try:
            with suppress(subprocess.TimeoutExpired):
                code = shell.wait(limit_s)
        finally:
            with suppress(ProcessLookupError):  # nothing that it started is left
                os.killpg(shell.pid, signal.SIGKILL)
    said = out.read_text(encoding="utf-8")
    assert code == 0, f"exit code {code} (None: longer than {limit_s:.0f} s)\n{said[-4000:]}"
    return said
