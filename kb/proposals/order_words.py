"""What the description of an order says against its approval: denied, put off, doubted, a fault.

Only ever against: no wording gives what the status does not.
"""

from __future__ import annotations

import re
from typing import Final

from kb.letters import clear, is_disguised
from kb.wording.negation import BENIGN, calls_off, doubts, plain, takes_back
from kb.wording.wording import worded

_CORRECTIVE: Final = re.compile(
    r"\b(?:corrective|break[ -]?down|unplanned|reactive|fail\w*|fault\w*|repair\w*|fix\w*|broken?|"
    r"defect\w*|damaged?|malfunction\w*|emergency|troubleshoot\w*|leak\w*|drift\w*|trip(?:s|ped)|"
    r"worn|jam\w*|stuck|dead|cracked|crash\w*|collision|alarms?|not working|out of (?:spec|tol\w*|"
    r"cal\w*|range)|ausfall\w*|st[oö]rung\w*|defekt\w*|reparatur\w*|undicht\w*|kaputt\w*|"
    r"leckage\w*)\b",
    re.IGNORECASE,
)
# "due for calibration" and "due to interval" are said of any preventive order
_CAUSED: Final = re.compile(
    r"\b(?:due to|because(?: of)?|owing to|wegen|aufgrund|infolge)\b"
    r"(?! (?:the |its |an? |des |der )?(?:\w+ )?(?:interval|schedule|plan|calendar|expir\w+|audit|"
    r"procedure|regulation|run(?:ning)? hours|intervall?s?|frist|wartungsplan)\b)"
    r"|\b(?:is|are|was|reads?|runs?|ist|zu|too) (?:too |zu )?"
    r"(?:low|high|hot|noisy|slow|niedrig|hoch)\b"
)
_DRAFT: Final = re.compile(
    r"\b(?:draft|entwurf|provisional\w*|preliminary|vorl[aä]ufig|tentative\w*|template|vorlage|"
    r"dummy|pls ignore|please ignore|ignore|test ?(?:entry|order|record)|"
    r"duplicate|dupe|dup|doppelt|copy of (?:wo|order)|stopped(?=\W*$)|gestoppt|terminated|"
    r"superseded|replaced by (?:wo|order)|see (?:wo|order)|"
    r"wait(?:s|ing)? (?:for|on)|await\w*|wartet|warten auf|on wait|needs? (?:parts|approval)|"
    r"(?:other|another|wrong|different|anderer?|falscher?) (?:robot\w*|machine|maschine|asset|cell|"
    r"press|pump|mill|line|unit|one|equipment))\b"
)


def is_corrective(told: str) -> bool:
    """Whether words tell of work that follows a failure."""
    return bool(_CORRECTIVE.search(BENIGN.sub(" ", told.lower())))


def speaks_against(description: str) -> bool:
    """Whether a description denies, calls off, puts off, doubts or has a fault as its cause."""
    said = clear(description)
    line = plain(said)
    return (
        is_disguised(description)
        or calls_off(said)
        or doubts(line)
        or bool(_CAUSED.search(line) or _DRAFT.search(line))
        or takes_back(worded(line))
    )
