"""Groups of commands that are imported when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from andon.commands import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from andon.commands import Line


class Loading(Mapping[str, Any]):
    """Commands by their names: to look one up imports it, to list the names imports nothing."""

    def __init__(self, stated: Mapping[str, Line | Group]) -> None:
        self._stated = stated
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of a class that typer hides
        if name not in self._made:
            stated = self._stated[name]
            made = _group(name, stated) if isinstance(stated, Group) else _command(name, stated)
            self._made[name] = typer.main.get_command(made)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stated)

    def __len__(self) -> int:
        return len(self._stated)


def front(
    stated: Mapping[str, Line | Group],
    **settings: Any,  # noqa: ANN401 - of `typer.Typer`
) -> typer.Typer:
    """Make a group of what is stated; whoever calls it adds what comes before its commands.

    Its help, and that of its commands, is plain text: what draws boxes around it takes longer to
    load than all the rest that answers.
    """

    class Stated(TyperGroup):
        """Lists what is stated, and looks up the rest as any other group does."""

        def __init__(self, **given: Any) -> None:  # noqa: ANN401 - typer's
            super().__init__(**given)
            self.commands = Loading(stated)  # type: ignore[assignment]  # nobody adds to it

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - a hidden class
            """Their names, in the order of the table."""
            return list(stated)

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - likewise
            """As any other group, with False for a flag that nobody gave.

            For a None typer loads its library of validators, which takes longer than all help.
            """
            for option in self.get_params(ctx):
                if getattr(option, "is_flag", False) and option.default is None:
                    option.default = False
            return super().parse_args(ctx, args)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - too
            """A command a line, none of them cut."""
            with formatter.section("Commands"):
                formatter.write_dl([(name, one.says) for name, one in stated.items()])

    return typer.Typer(
        cls=Stated,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )


def _group(name: str, stated: Group) -> typer.Typer:
    made = front(stated.commands, name=name, help=stated.help, add_completion=False)
    made.callback()(_nothing)
    return made


def _command(name: str, stated: Line) -> typer.Typer:
    module, _, function = stated.place.partition(":")
    made: Callable[..., None] = getattr(import_module(f"andon.{module}"), function)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(made)
    return alone


def _nothing() -> None:
    pass
