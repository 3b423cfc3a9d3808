"""The system's Chromium, driven by Playwright, and the pictures that tests leave behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect, sync_playwright

from tests.clients.install import ROOT
from tests.clients.services import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

PICTURES: Final = ROOT / "build" / "screenshots"
SEEN_MS_MAX: Final = 60_000


@contextmanager
def screen(*, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """An empty page of a real browser; nothing that it shows may come from elsewhere."""
    chromium = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            context = browser.new_context(viewport={"width": width, "height": height})
            page = context.new_page()
            page.set_default_timeout(SEEN_MS_MAX)
            expect.set_options(timeout=SEEN_MS_MAX)
            yield page
        finally:
            browser.close()


def picture(page: Page, name: str) -> None:
    """Keep what is seen, under build/screenshots."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
