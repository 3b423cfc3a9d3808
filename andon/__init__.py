"""The command `andon`: options in, packages composed, tables out. Nothing is decided here.

Every command imports what it needs when it runs, so that `andon --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from andon import (
    answers,
    audit,
    bench,
    boxes,
    brokers,
    commissioning,
    dead_letters,
    detectors,
    explanations,
    importing,  # noqa: F401 - its command is of model_app
    labelling,
    proposing,  # noqa: F401 - its commands are of kb_app
    prove,
    signing,
    streams,
    tune_bundle,
    tuning,  # noqa: F401 - likewise
)
from andon.evaluation import eval_app
from andon.knowledge import kb_app
from andon.lifecycle import model_app

app = typer.Typer(
    name="andon",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (
    streams.demo,
    streams.simulate,
    streams.replay,
    streams.record,
    detectors.fit,
    detectors.backtest,
    detectors.propose_bundle,
    detectors.adopt_bundle,
    streams.run,
    commissioning.accept,
    streams.check,
    brokers.broker,
    explanations.explain,
    explanations.why,
    answers.ask,
    dead_letters.dead_letters,
    signing.sign,
    signing.verify,
    bench.bench,
    prove.prove,
    labelling.label,
    tune_bundle.tune,
    boxes.backup,
    boxes.restore,
    boxes.fence,
    boxes.retire,
):
    app.command()(command)
app.add_typer(kb_app, name="kb")
app.add_typer(model_app, name="model")
app.add_typer(audit.audit_app, name="audit")
app.add_typer(signing.keys_app, name="keys")
app.add_typer(eval_app, name="eval")


@app.callback(invoke_without_command=True)
def _front_door(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Streaming anomaly detection that knows what maintenance expected. Begin with `andon demo`."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"andon {version_of('andon')}")
        raise typer.Exit


def _run_alone() -> typer.Typer:
    """The command `run` without the others: to make all of them takes a start a tenth of a second.

    It answers as it does among them.
    """
    alone = typer.Typer(name="andon", rich_markup_mode="markdown", pretty_exceptions_enable=False)
    alone.callback(invoke_without_command=True)(_front_door)
    alone.command()(streams.run)
    return alone


def main() -> None:
    """Run the command line; errors of the world end with one line that says what to do.

    Exit code 2; 130 after Ctrl-C.
    """
    from edge.errors import AndonError
    from kb.errors import KnowledgeError
    from models.errors import ModelError

    try:
        (_run_alone() if sys.argv[1:2] == ["run"] else app)()
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
