"""Words and style of the pages for signing in."""

from __future__ import annotations

from typing import Final

_ENGLISH: Final = {
    "lang": "en",
    "title": "Sign in",
    "name": "Name",
    "password": "Password",
    "sign_in": "Sign in",
    "wrong": "Name or password is wrong.",
    "wait": "Too many attempts. Try again in {minutes} min.",
    "directory": "The directory cannot be asked now. Local users can still sign in.",
    "set_title": "Change your password",
    "old": "Password until now",
    "new": "New password, 10 characters or more",
    "again": "New password, once more",
    "set": "Change it",
    "back": "Back",
    "differ": "The two new passwords differ.",
    "elsewhere": "This password is not kept here.",
}
_GERMAN: Final = {
    "lang": "de",
    "title": "Anmelden",
    "name": "Name",
    "password": "Passwort",
    "sign_in": "Anmelden",
    "wrong": "Name oder Passwort ist falsch.",
    "wait": "Zu viele Versuche. Bitte in {minutes} min noch einmal.",
    "directory": "Der Verzeichnisdienst antwortet nicht. Lokale Benutzer können sich anmelden.",
    "set_title": "Passwort ändern",
    "old": "Bisheriges Passwort",
    "new": "Neues Passwort, mindestens 10 Zeichen",
    "again": "Neues Passwort, noch einmal",
    "set": "Ändern",
    "back": "Zurück",
    "differ": "Die beiden neuen Passwörter sind verschieden.",
    "elsewhere": "Dieses Passwort wird nicht hier verwahrt.",
}
_BY_LANGUAGE: Final = {"en": _ENGLISH, "de": _GERMAN}

STYLE: Final = """:root { color-scheme: light dark; --back: #e8e8e6; --panel: #f6f6f4; --ink: #222;
  --line: #8a8a86; --act: #2f5d8a; --warn: #8a3b12; }
@media (prefers-color-scheme: dark) { :root { --back: #1d1f21; --panel: #2a2d30; --ink: #dcdcd8;
  --line: #74797d; --act: #8fb7dd; --warn: #f0a878; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--back);
  color: var(--ink); font: 16px/1.4 system-ui, sans-serif; }
main { width: min(22rem, 92vw); padding: 1.5rem; background: var(--panel);
  border: 1px solid var(--line); border-radius: 6px; }
h1 { margin: 0; font-size: 1.3rem; } p { margin: .2rem 0 1rem; }
label { display: block; margin-top: .8rem; }
input { width: 100%; padding: .55rem; font: inherit; color: inherit; background: var(--back);
  border: 1px solid var(--line); border-radius: 4px; }
button { margin: 1.2rem .8rem 0 0; padding: .6rem 1.2rem; font: inherit; color: var(--panel);
  background: var(--act); border: 0; border-radius: 4px; cursor: pointer; }
a { color: var(--act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
[role=alert] { margin: 0; color: var(--warn); font-weight: 600; }
"""


def words_for(accepted: str) -> dict[str, str]:
    """The words for what a browser says it reads (`de-AT,de;q=0.9,en;q=0.8`); else English."""
    for part in accepted[:200].split(","):
        language = part.partition(";")[0].strip().lower().partition("-")[0]
        if language in _BY_LANGUAGE:
            return _BY_LANGUAGE[language]
    return _ENGLISH
