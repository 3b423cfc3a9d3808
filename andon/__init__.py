"""The command `andon`: options in, packages composed, tables out. Nothing is decided here.

The module of a command is imported when it is called, and each command imports what it needs when
it runs, so that `andon --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from andon.running import plain_run, run_gateway

if TYPE_CHECKING:
    import typer


def __getattr__(name: str) -> typer.Typer:
    """`andon.app`, made when it is asked for: a gateway starts without it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from andon.front import app

    return app


def main() -> None:
    """Run the command line; errors of the world end with one line that says what to do.

    Exit code 2; 130 after Ctrl-C.
    """
    from edge.errors import AndonError
    from kb.errors import KnowledgeError
    from models.errors import ModelError

    try:
        _called(sys.argv[1:])
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


def _called(arguments: list[str]) -> None:
    config = plain_run(arguments)
    if config is not None:
        sys.exit(run_gateway(config, log_level="info", log_json=False))
    from andon.front import app

    app()
