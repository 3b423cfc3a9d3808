"""Words of wishes, complaints, repairs, paperwork and other days, after `kb.wording.wording`.

A clause that has one proposes nothing, whatever work it names.
"""

from __future__ import annotations

import re
from typing import Final

_WISH: Final = re.compile(
    r"\?|\b(?:need(?:s|ed|ing)?|pls|plz|please|kindly|should|shall|would|could|must|requests?|"
    r"requested|req'?d?|reqd|require[sd]?|necessary|wants?|wanted|wish\w*|asks?|asked|asking|"
    r"overdue|due|maybe|perhaps|probably|prob|poss\w*|impossible|might|may|hope\w*|think\w*|"
    r"recommend\w*|suggest\w*|todo|to do|to be|when free|waiting|waits?|await\w*|if|whether|"
    r"supposed|intended|meant|tried|trying|attempt\w*|wait for|arrange\w*|depute|someone|somebody|"
    r"anyone|anybody|who|why|idk|can (?:u|you|we|someone)|did (?:u|you)|have you|has anyone|let'?s|"
    r"(?:was|were) (?:going )?to|going to have|ought|forget|on hold|hold|before starting|"
    r"wappr|wmatl|wpcond|wplan|s\.?r\.? ?\d+|permit issued|follow up|bitte|f[aä]llig|"
    r"soll\w*|m[uü]ss\w*|wartet|pas encore|vermutlich|evtl|eventuell|"
    r"allows|available|can be|may be|when|investigate\w*|soon|some ?day|at the earliest|asap|"
    r"urgent\w*)\b"
)
_COMPLAINT: Final = re.compile(
    r"\b(?:repair\w*|fix|fixed|mended|broken?|bent|leak\w*|pores?|porosity|rough|noisy|noise|"
    r"stutter\w*|odd|weird|abnormal\w*|frozen|froze|creeping|drift\w*|jam\w*|stuck|birdnest|"
    r"trip(?:ped|s)|dead|oval|faulty?|faults|wrong\w*|spatter up|again|smells?|hot|crack\w*|loose|"
    r"low|lower|high|higher|hi|dropping|rising|clogged|blocked|missing|lost|loses|lacks?|empty|"
    r"expired|bad|poor|short|deviat\w*|out of|ran out|run out|beyond|exceed\w*|over limit|"
    r"too (?:much|many|long|big|small)|alarms?|errors?|nok|n\.? ?ok|n\.? ?i\.? ?o|ng|not ok|"
    r"shows|showed|reads|reading|looks|crash\w*|unstable|erratic|fluctuat\w*|suspect\w*|defekt\w*|"
    r"defects?|dicht|verstopft|zugesetzt|gerissen|gebrochen|klemmt|kaputt|geplatzt|undicht|fehl\w*|st[oö]rung\w*|problems?|trouble|issues?|damaged?|"
    r"seized|plugged|burnt|burned|blew|blown|knackered|bust(?:ed)?|u/?s|inop\w*|unserviceable|chafed|"
    r"breakdown|broke|overhaul\w*|t/s|troubleshoot\w*|secured|tightened|welded up|rewelded|rubbish|"
    r"slipping|slips|surging|overheat\w*|overload\w*|reset|power cycled|unsafe|failed|failure\w*|"
    r"hit|hits|struck|fell|fallen|spill\w*|accident\w*|incident|knocked|snapped|torn|tore|stalled|hung|"
    r"still|keeps|worse|misaligned|rejects?|scrap|bypassed|smok\w*|burst|collapsed|sparks?|arcing|flooded|overflow\w*|"
    r"collided|worn(?! (?:tip|nozzle|liner|filter|electrode|insert))|waste of|no good|horrid|"
    r"warning|unexpected\w*|emergency(?! stop)|corrective|reactive|unplanned)\b"
    r"|(?<!signed )(?<!sign )(?<!hands )\boff\b"
)
_PAPER: Final = re.compile(
    r"\b(?:stickers?|filed|updated?|released|extended|revis\w+|review\w*|audit\w*|"
    r"procedure|records?|interval|sheets?|booked|modif\w+|fabricat\w*|sent|away|back from|"
    r"returned from|handed to|raised|study|fixture|"
    r"(?:next|last|for|back from|to) calibration|calibration (?:planned )?20\d\d)\b"
)
_ELSEWHEN: Final = re.compile(
    r"\b(?:since|after|before|prior to|last|previous|yesterday'?s?|old|next|until|pre|post|during)"
    r"\s+(?:the\s+|a\s+)?(?:\w+\s+){0,3}?"
    r"(?:calib\w*|kalib\w*|verif\w*|check|clean\w*|change\w*|test|stop)\b"
    r"|\byesterday\b|\b(?:days?|weeks?|months?) ago\b|\blast (?:shift|night|week|month)\b"
    r"|\bgestern\b|\bhier\b"
)


def doubted(text: str) -> bool:
    """Whether a clause wishes, complains, tells of a repair, of papers, or of another day."""
    return any(words.search(text) for words in (_WISH, _COMPLAINT, _PAPER, _ELSEWHEN))
