"""Words of the reports, in each language: one table a language, with the same keys."""

from __future__ import annotations

from typing import Final

ENGLISH: Final = {
    "handover": "Shift handover",
    "month": "Alarm report",
    "shift": "{site}, shift from {begin} to {end}",
    "span": "{site}, {begin} to {end}",
    "made": "Andon, made {t}",
    "page": "page {n} of {all}",
    "partial": "What is kept begins at {t}; nothing is known of the time before.",
    "unkept": "No history could be kept beside the outbox: {why}",
    "not_asked": "Not known: no gateway was asked.",
    "as_of": "As of {t}.",
    "none": "None.",
    "new": "New in this shift",
    "standing": "Standing from before",
    "suppressed": "Kept quiet by a job",
    "shelved": "Shelved",
    "out_of_service": "Out of service",
    "blind": "Blind",
    "confirm": "Jobs to confirm",
    "open_jobs": "Open and planned jobs",
    "signature": (
        "Handed over by ______________________"
        "\u00a0\u00a0\u00a0\u00a0Taken over by ______________________"
    ),
    "notes": "Notes",
    "asset": "Asset",
    "what": "What",
    "track": "Track",
    "message": "Message",
    "severity": "Severity",
    "state": "State",
    "since": "Since",
    "until": "Until",
    "rings": "Rings",
    "job": "Job",
    "rings_again": "Rings again",
    "by": "By",
    "reason": "Reason",
    "why": "Why",
    "instrument": "Instrument",
    "quote": "Text",
    "no_score": "no score: its newest sample could not be judged",
    "rang_n": "rang in this shift",
    "standing_n": "standing from before",
    "avoided_n": "kept quiet by jobs",
    "confirm_n": "jobs to confirm",
    "blind_n": "blind",
    "ACTIVE": "active",
    "ACTIVE_UNACK": "active, not seen",
    "ACTIVE_ACK": "active, seen",
    "CLEARED_UNACK": "over, not seen",
    "CLEARED_ACK": "over, seen",
    "NORMAL": "over",
    "per_day": "alerts a day",
    "peak": "in the worst ten minutes",
    "flood": "of the time in flood",
    "avoided": "false alarms avoided",
    "ack_median": "median to acknowledge",
    "ack_p90": "90 % acknowledged within",
    "days": "Alerts a day",
    "bar_rang": "rang",
    "bar_avoided": "avoided",
    "positions": "Load of each operator position",
    "position": "Position",
    "unnamed": "(without a name)",
    "per_10": "A ten minutes",
    "peak_10": "Peak ten minutes",
    "peak_at": "Peak at",
    "flood_time": "In flood",
    "load_note": (
        "An alert counts when it asks for attention by itself; what a group rings for counts once."
        " A flood is more than ten in ten minutes. EEMUA 191 takes one in ten minutes as very"
        " likely acceptable, two as manageable; ISA-18.2 up to 144 a day, at most 1 % in flood."
    ),
    "actors": "Ten worst actors",
    "share": "Share",
    "stale": "Stale: active for longer than {span}",
    "chattering": "Chattering: {n} rings or more within {span}",
    "lasted": "Lasted",
    "priorities": "By priority",
    "priority": "Priority",
    "answered": "How it was met",
    "figure": "Figure",
    "value": "Value",
    "events": "events that began",
    "rang": "of these rang",
    "avoided_f": "kept quiet by a job from begin to end: false alarms avoided",
    "late_f": "kept quiet at first, and rang later",
    "acked_f": "acknowledged",
    "unacked_f": "rang and were not acknowledged",
    "median_f": "time to acknowledge, median",
    "p90_f": "time to acknowledge, 90 % within",
    "feedback_f": "operators said: {label}",
    "no_feedback": "What operators said of alerts is not counted here: give --labels.",
    "going_on": "goes on",
}
GERMAN: Final = {
    "handover": "Schichtübergabe",
    "month": "Alarmbericht",
    "shift": "{site}, Schicht von {begin} bis {end}",
    "span": "{site}, {begin} bis {end}",
    "made": "Andon, erstellt {t}",
    "page": "Seite {n} von {all}",
    "partial": "Aufgezeichnet ist die Zeit ab {t}; von davor ist nichts bekannt.",
    "unkept": "Neben dem Postausgang konnte nichts aufgehoben werden: {why}",
    "not_asked": "Nicht bekannt: Es wurde kein Gateway gefragt.",
    "as_of": "Stand {t}.",
    "none": "Keine.",
    "new": "Neu in dieser Schicht",
    "standing": "Anstehend von vorher",
    "suppressed": "Durch einen Auftrag unterdrückt",
    "shelved": "Zurückgestellt",
    "out_of_service": "Außer Betrieb",
    "blind": "Blind",
    "confirm": "Zu bestätigende Arbeiten",
    "open_jobs": "Offene und geplante Arbeiten",
    "signature": (
        "Übergeben von ______________________"
        "\u00a0\u00a0\u00a0\u00a0Übernommen von ______________________"
    ),
    "notes": "Notizen",
    "asset": "Anlage",
    "what": "Was",
    "track": "Spur",
    "message": "Meldung",
    "severity": "Schwere",
    "state": "Zustand",
    "since": "Seit",
    "until": "Bis",
    "rings": "Rufe",
    "job": "Auftrag",
    "rings_again": "Meldet wieder",
    "by": "Von",
    "reason": "Grund",
    "why": "Warum",
    "instrument": "Instrument",
    "quote": "Text",
    "no_score": "keine Bewertung: Der neueste Wert ließ sich nicht beurteilen",
    "rang_n": "in dieser Schicht gemeldet",
    "standing_n": "anstehend von vorher",
    "avoided_n": "durch Aufträge still",
    "confirm_n": "zu bestätigen",
    "blind_n": "blind",
    "ACTIVE": "steht an",
    "ACTIVE_UNACK": "steht an, nicht quittiert",
    "ACTIVE_ACK": "steht an, quittiert",
    "CLEARED_UNACK": "vorbei, nicht quittiert",
    "CLEARED_ACK": "vorbei, quittiert",
    "NORMAL": "vorbei",
    "per_day": "Alarme am Tag",
    "peak": "in den schlimmsten zehn Minuten",
    "flood": "der Zeit im Alarmschwall",
    "avoided": "Fehlalarme vermieden",
    "ack_median": "bis zum Quittieren (Median)",
    "ack_p90": "für 90 % der Quittierungen",
    "days": "Alarme am Tag",
    "bar_rang": "gemeldet",
    "bar_avoided": "vermieden",
    "positions": "Last je Bedienplatz",
    "position": "Bedienplatz",
    "unnamed": "(ohne Namen)",
    "per_10": "Je zehn Minuten",
    "peak_10": "Höchstens in zehn",
    "peak_at": "Spitze um",
    "flood_time": "Im Schwall",
    "load_note": (
        "Ein Alarm zählt, wenn er selbst um Aufmerksamkeit bittet; wofür eine Gruppe meldet, zählt"
        " einmal. Ein Schwall sind mehr als zehn in zehn Minuten. EEMUA 191 hält einen in zehn"
        " Minuten für sehr wahrscheinlich annehmbar, zwei für beherrschbar; ISA-18.2 bis zu 144 am"
        " Tag und höchstens 1 % der Zeit im Schwall."
    ),
    "actors": "Die zehn häufigsten",
    "share": "Anteil",
    "stale": "Dauernd: länger als {span} aktiv",
    "chattering": "Flatternd: {n} Meldungen oder mehr in {span}",
    "lasted": "Dauer",
    "priorities": "Nach Priorität",
    "priority": "Priorität",
    "answered": "Wie damit umgegangen wurde",
    "figure": "Kennzahl",
    "value": "Wert",
    "events": "Ereignisse, die begannen",
    "rang": "davon gemeldet",
    "avoided_f": "durch einen Auftrag von Anfang bis Ende still: vermiedene Fehlalarme",
    "late_f": "erst still, später gemeldet",
    "acked_f": "quittiert",
    "unacked_f": "gemeldet und nicht quittiert",
    "median_f": "Zeit bis zum Quittieren, Median",
    "p90_f": "Zeit bis zum Quittieren, 90 % innerhalb",
    "feedback_f": "Rückmeldung: {label}",
    "no_feedback": "Rückmeldungen sind hier nicht gezählt: --labels nennt ihre Datei.",
    "going_on": "dauert an",
}
LANGUAGES: Final = {"en": ENGLISH, "de": GERMAN}


class Words:
    """Words of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = LANGUAGES[language]

    def __call__(self, key: str, **values: object) -> str:
        """A phrase with what stands in it; values are taken as they are."""
        phrase = self._words[key]
        return phrase.format(**values) if values else phrase

    def state(self, state: str) -> str:
        """The state of an alert; one that is not known stays as it is."""
        return self._words.get(state, state) if state.isupper() else state
