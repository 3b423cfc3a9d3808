"""Parts of a state that are put together when somebody writes them, not when they are copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Later:
    """Stands for what `make` returns, once; nothing that it is made of changes any more."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make
