"""Words with which people take work back: not done, called off, put off. English and German.

They only ever withdraw: a negated line proposes nothing, a called-off order is no witness.
"""

from __future__ import annotations

import re
from typing import Final

# "no issues" and "no. 3" deny nothing about the work.
BENIGN: Final = re.compile(
    r"\b(?:no|w/o|without|keine?|ohne)\s+"
    r"(?:further\s+|more\s+|other\s+|new\s+|any\s+|weiteren?\s+)?"
    r"(?:issues?|problems?|faults?|findings?|leaks?|errors?|alarms?|deviations?|adj\w*|trouble|"
    r"remarks?|defects?|discrepanc\w*|concerns?|complaints?|damage|drift|fehler|befund\w*|probleme?|abweichung\w*|auff\w+)\b"
    r"|\bleak (?:check|test|chk)\b|\bno[. ]{0,2}\d+\b"
)
_CALLED_OFF: Final = (
    r"cancel\w*|cancl\w*|cncl\w*|canx|cxld?|call(?:ed|ing)?[- ]off|voided|void|withdrawn|revoked|"
    r"retracted|rescinded|annulled|scrapped|scratched|nixed|binned|scrubbed|axed|dropped|deleted|obsolete|"
    r"storn\w*|abgesagt\w*|abgebrochen|abgebl\w+|entf[aä]llt|entfallen|ausgefallen|gestrichen|"
    r"gel[oö]scht|hinf[aä]llig|abandon\w*|knocked on the head|scrap that|scratch that|annul\w*|"
    r"cnx\w*|superseded|supersedes|terminated|faellt aus|f[aä]ll?t aus|faellt|entfaellt|geloescht"
)
_PUT_OFF: Final = (
    r"postpon\w*|deferr?(?:ed|al)?|delayed|moved|resched\w*|push(?:ed)?[- ](?:back|out|off)|"
    r"put (?:off|back)|bumped|shelved|parked|paused|suspended|on hold|held (?:over|back|up)|"
    r"outstanding|pending|skip\w*|omitted|missed|forgot\w*|left (?:for|to|open|over|undone)|"
    r"(?:handed|carried|rolled|hand|carry) ?over|next shift|still (?:to|open|not)|to go|to follow|"
    r"remain(?:s|ing)|(?:rest|remainder) (?:for|of|to)|brought forward|"
    r"slid to|slipped to|on ice|off the (?:list|plan|table|board)|(?:ver|auf)?geschoben|"
    r"verschieb\w*|pushed (?:to|until|till)|verschb|"
    r"auf (?:morgen|sp[aä]ter|montag|dienstag|mittwoch|donnerstag|freitag|n[aä]chste\w*)|"
    r"verschoben|vertagt|offen|aufgeschoben|zur[uü]ckgestellt|[uü]bergeben|vergessen|steht aus"
)
_NOT_DONE: Final = (
    r"not?|nope|never|none|w/o|without|nothing|nobody|didn'?t|don'?t|wasn'?t|isn'?t|hasn'?t|"
    r"haven'?t|won'?t|can'?t|cannot|couldn'?t|un(?:done|finished|able|completed)|neither|nor|"
    r"doesn'?t|weren'?t|hadn'?t|"
    r"abort\w*|interrupt\w*|halted|broken? off|broke off|gave up|given up|refused|rejected|"
    r"declined|denied|fail\w*|n/a|stopped early|cut short|backed out|incomplete|"
    r"half(?:[- ]?way| done| finished)?|part(?:ly|ial\w*)|almost|nearly|only half|"
    r"(?:ran |run )?out of time|no time|resumes?|to be continued|cont'?d|yet|"
    r"non|un|nowhere|instead of|rather than|did nothing|"
    r"nicht|kein\w*|nie|ohne|unterbrochen|unvollst\w*|teilweise|halb|fast"
)
# What takes work back only in a line that names it, and denies nothing by itself.
_DROPPED: Final = (
    r"forget|scratch|scrap|swap|swapped|wrong (?:robot|machine|asset|cell|press|pump|one)|"
    r"goes to @\d+|(?:was|formerly) @\d+|sick|krank|no-?show|skip|drop|kill|instead|statt|"
    r"not (?:today|now|possible)|back ?burner|st(?:oo|an)d down|ignore|disregard|"
    r"won t|be confirmed|mistake|mix-?up|entf|in the water|before it (?:began|started)|"
    r"done out of|changed? (?:to|2) \^\d+|stop early|removed from|"
    r"(?:taken|pulled) (?:out|off|from|forward)|off the \w+ (?:list|plan)|"
    r"blocked by|slipped (?:a|to|by)|(?:only|erst|not (?:before|until)) (?:tomorrow|on|am|next)"
)
_MAYBE: Final = (
    r"maybe|perhaps|probably|might|unsure|not sure|unclear|doubtful|tbc|tbd|tba|"
    r"vielleicht|evtl|eventuell|fraglich|unklar|wahrscheinlich"
)
_TAKES_BACK: Final = re.compile(rf"(?<![\w-])(?:{_CALLED_OFF}|{_PUT_OFF}|{_DROPPED})(?![\w-])")
_AT_END: Final = re.compile(r"\b(?:off|open|later|sp[aä]ter)\W*$")
# said of pressures, parts and machines as often as of work
_OF_MACHINES: Final = re.compile(
    r"\b(?:dropped|drop|scrapped|scrap|parked|paused|deleted|swap|swapped|kill|outstanding|"
    r"remain(?:s|ing)|to go|ignore|skipp?\w*)\b"
)
_DOUBTS: Final = re.compile(rf"\?|(?<![\w-])(?:{_MAYBE})(?![\w-])")
_CALLS_OFF: Final = re.compile(rf"(?<![\w-])(?:{_CALLED_OFF}|{_PUT_OFF}|{_NOT_DONE})(?![\w-])")
_CODES: Final = re.compile(r"(?<![\w-])(?:CAN|CANC|CXL|DLFL|LOVM)(?![\w-])")  # "can" is a verb
_EXCEPT: Final = re.compile(r"\b(?:except|excl\w*|ausser|außer)\b")
_SHARE: Final = re.compile(
    r"\d\s?%\s*(?:$|[.,;!]|done|complete\w*|finished|ready|left|open|through)|"
    r"\b(?:done|complete\w*|finished|ready|about|abt|at|to)\s+\d+\s?%"
)


def negates(said: str) -> bool:
    """Whether a text denies, calls off or puts off what it speaks of, or says it is half done."""
    line = plain(said)
    return bool(_CALLS_OFF.search(line) or _EXCEPT.search(line) or _SHARE.search(line))


def takes_back(said: str, *, of_work: bool = True) -> bool:
    """Whether a part of a line calls work off, puts it off or moves it.

    of_work: it names work; else words that are said of valves and doors too do not count.
    """
    line = plain(said)
    if not of_work:
        return bool(_TAKES_BACK.search(_OF_MACHINES.sub(" ", line)))
    return bool(_TAKES_BACK.search(line) or _AT_END.search(line))


def doubts(said: str) -> bool:
    """Whether a text asks, or is not sure."""
    return bool(_DOUBTS.search(said.lower()))


def calls_off(said: str) -> bool:
    """Whether a row that names an order may take it back; status codes count in capitals."""
    return bool(_CALLS_OFF.search(plain(said)) or _CODES.search(said))


def plain(said: str) -> str:
    """Lower case, straight apostrophes, and without what only looks like a negation."""
    return BENIGN.sub(" ", said.lower().replace("\u2019", "'"))
