"""A broker, and a cell whose fault rings now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.broker.cells import listener
from tests.broker.conftest import mosquitto, mosquitto_of
from tests.clients.plant import Plant, cell_of_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

__all__ = ["mosquitto", "mosquitto_of"]  # fixtures of the tests of whole gateways


@pytest.fixture
def plant(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Plant]:
    """A cell that has told nothing yet; a listener has heard all that Andon says."""
    folder = tmp_path / "cell"
    folder.mkdir()
    with listener(mosquitto, tmp_path / "heard") as heard:
        yield Plant(cell=cell_of_now(folder), broker=mosquitto, heard=heard)
