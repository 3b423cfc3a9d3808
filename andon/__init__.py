"""The command `andon`: options in, packages composed, tables out. Nothing is decided here.

The module of a command is imported when it is called, and each command imports what it needs when
it runs, so that `andon --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from andon.commands import COMMANDS
from andon.lazy import front

app = front(COMMANDS, name="andon")


@app.callback(invoke_without_command=True)
def _front_door(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Streaming anomaly detection that knows what maintenance expected. Begin with `andon demo`."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"andon {version_of('andon')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors of the world end with one line that says what to do.

    Exit code 2; 130 after Ctrl-C.
    """
    from edge.errors import AndonError
    from kb.errors import KnowledgeError
    from models.errors import ModelError

    try:
        app()
    except (AndonError, KnowledgeError, ModelError) as error:
        line, code = f"andon: {error}", 2
    except OSError as error:  # a file of an option that cannot be read or written
        if error.filename is None:
            raise
        line, code = f"andon: {error.filename}: {error.strerror}", 2
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes 130 of a Ctrl-C that it sees
        if isinstance(end, SystemExit) and end.code != 130:
            raise
        line, code = "interrupted", 130
    else:
        return
    sys.stderr.write(f"{line}\n")
    sys.exit(code)
