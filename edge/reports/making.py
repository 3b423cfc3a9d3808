"""Reports from a configuration: which time, from what is kept, in which form."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from edge.errors import ConfigError
from edge.labels.book import read_labels
from edge.reports.document import Local
from edge.reports.handover import handover
from edge.reports.history import history_of
from edge.reports.html import html_file
from edge.reports.month import Rules, month
from edge.reports.pdf import pdf_file
from edge.reports.sheets import handover_sheet, month_sheet
from edge.reports.words import LANGUAGES, Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.reports.document import Document
    from edge.reports.handover import Now
    from edge.reports.transitions import Transition

FORMS: Final = (".html", ".pdf")
MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
S_MS: Final = 1_000


class Making:
    """Reports of one gateway, in one language and one zone."""

    def __init__(self, config: GatewayConfig, *, language: str = "") -> None:
        """Language "" is that of [reports]. Raises ConfigError for one that there is not."""
        language = language or config.reports.language
        if language not in LANGUAGES:
            raise ConfigError(f"language {language!r}: expected one of {', '.join(LANGUAGES)}")
        self._config = config
        self.words = Words(language)
        zone = config.reports.timezone or config.kb.timezone
        self.local = Local(zone=ZoneInfo(zone) if zone else None, language=language)
        engine = config.engine
        self._rules = Rules(
            chatter_rings=engine.chatter_rings,
            chatter_ms=engine.chatter_window_s * S_MS,
            stale_ms=engine.stale_s * S_MS,
        )

    def handover(self, *, at_ms: int | None = None, now: Now | None = None) -> Document:
        """The sheet of the shift of a time, up to that time; None: of now. Raises JournalError."""
        made_ms = time.time_ns() // 1_000_000
        history = history_of(self._config)
        end_ms = self._newest_ms(at_ms, made_ms, history.transitions)
        found = handover(
            history.transitions,
            begin_ms=self.shift_ms(end_ms),
            end_ms=end_ms,
            since_ms=history.since_ms,
            now=now,
        )
        return handover_sheet(
            found,
            site=self._config.site,
            made_ms=made_ms,
            words=self.words,
            local=self.local,
            unkept=history.kept,
        )

    def month(self, name: str = "", *, labels: Path | None = None) -> Document:
        """The report of a month such as 2026-10; "": of the one that goes on.

        Raises ConfigError for what is no month, JournalError and RecordingError.
        """
        made_ms = time.time_ns() // 1_000_000
        history = history_of(self._config)
        newest_ms = self._newest_ms(None, made_ms, history.transitions)
        days = self.days_of(name or self.local.at(newest_ms).strftime("%Y-%m"), newest_ms)
        positions = {one.asset: "" for one in history.transitions}
        positions |= {a: "" for one in history.transitions for a in one.members}
        settings = self._config.settings
        found = month(
            history.transitions,
            days=days,
            positions={asset: settings.of_asset(asset).position for asset in positions},
            rules=self._rules,
            since_ms=history.since_ms,
            feedback=_feedback(labels, days[0], days[-1]) if labels is not None else None,
        )
        return month_sheet(
            found,
            site=self._config.site,
            made_ms=made_ms,
            rules=self._rules,
            words=self.words,
            local=self.local,
            unkept=history.kept,
        )

    def shift_ms(self, t_ms: int) -> int:
        """When the shift of a time began, by `[engine] shift_s` and `shift_start_s`."""
        engine = self._config.engine
        length, start = engine.shift_s * S_MS, engine.shift_start_s * S_MS
        return (t_ms - start) // length * length + start

    def days_of(self, name: str, newest_ms: int) -> list[int]:
        """Begins of the days of a month here, and the end: of the month, or the newest time.

        Raises ConfigError for what is no month, or one that has not begun.
        """
        parts = MONTH.fullmatch(name)
        if parts is None or not 1 <= int(parts[2]) <= 12 or not 2000 <= int(parts[1]) <= 9998:
            raise ConfigError(f"--month {name!r}: expected a year and a month, such as 2026-10")
        day = date(int(parts[1]), int(parts[2]), 1)
        begins = []
        month_number = day.month
        while day.month == month_number:
            begins.append(self._midnight_ms(day))
            day += timedelta(days=1)
        begins.append(self._midnight_ms(day))
        if begins[0] > newest_ms:
            raise ConfigError(f"--month {name}: it has not begun; the newest word is older")
        if newest_ms < begins[-1]:
            begins = [*(one for one in begins if one <= newest_ms), newest_ms + 1]
        return begins

    @staticmethod
    def check_form(form: str) -> None:
        """Raise ConfigError for a suffix that is none of a report's."""
        if form not in FORMS:
            raise ConfigError(f"a report ends with {' or '.join(FORMS)}, not with {form!r}")

    def written(self, document: Document, form: str) -> bytes:
        """The bytes of a report, by the suffix of its file. Raises ConfigError."""
        self.check_form(form)
        if form == ".html":
            return html_file(document).encode()
        return pdf_file(document, page_words=lambda n, every: self.words("page", n=n, all=every))

    def _midnight_ms(self, day: date) -> int:
        zone = self.local.zone
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if zone is None:  # as this machine has it on that day
            midnight = midnight.astimezone()
        return round(midnight.astimezone(UTC).timestamp() * 1_000)

    def _newest_ms(self, at_ms: int | None, made_ms: int, transitions: Sequence[Transition]) -> int:
        """A time that was asked for; else now, of a replay the newest plant time."""
        if at_ms is not None:
            return at_ms
        if self._config.clock == "plant" and transitions:
            return max(one.t_ms for one in transitions)
        return made_ms


def moment_ms(text: str, local: Local) -> int:
    """A time of a person, such as 2026-10-31T14:00, here where it has no zone.

    Raises ConfigError.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--at {text!r}: expected a time such as 2026-10-31T14:00") from None
    if not 2000 <= found.year <= 9990:
        raise ConfigError(f"--at {text!r}: expected a year from 2000 on")
    if found.tzinfo is None:
        found = found.replace(tzinfo=local.zone) if local.zone is not None else found.astimezone()
    return round(found.timestamp() * 1_000)


def _feedback(path: Path, begin_ms: int, end_ms: int) -> dict[str, int]:
    """How often operators said what, of a file of `andon label`. Raises RecordingError."""
    return dict(
        Counter(
            one.label
            for one in read_labels(path)
            if one.source == "feedback" and begin_ms <= one.recorded_at_ns // 1_000_000 < end_ms
        )
    )
