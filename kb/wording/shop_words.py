"""Words of shop floors by what they mean: English, German, abbreviations of logs and exports.

Each entry maps ways to write a word to one that the grammar knows. A word that is not here means
nothing to the grammar, and says nothing.
"""

from __future__ import annotations

from typing import Final

# one word -> what else people write for it, inflections of German included
SAME: Final = {
    # work
    "calibration": "cal cals calib calibr calibs calibs calibrations callib recal recals recalib"
    " recalibration recalibrations kalibrierung kalibrierungen kalibration rekalibrierung abgleich"
    " nullabgleich justage justierung einmessung einmessen mastering remastering etalonnage",
    "calibrated": "cal'd cald calib'd recal'd recald recalibrated kalibriert nachkalibriert"
    " rekalibriert abgeglichen justiert zeroed remastered ausgelitert eingemessen"
    " neueingemessen caled nullgestellt genullt",
    "calibrate": "recalibrate calibrates kalibrieren abgleichen",
    "calibrating": "recalibrating",
    "verification": "verif vrf verifs validation verifications verifizierung",
    "verified": "verif'd verifd verfd vrfd validated crosschecked cross-checked verifiziert"
    " überprüft ueberprueft gegengeprüft nachgeprüft nachgemessen gegengemessen",
    "verify": "validate verifies verifizieren überprüfen nachmessen",
    "check": "chk ck chck checks kontrolle prüfung pruefung überprüfung",
    "checked": "compared chkd chk'd ck'd ckd geprüft geprueft gepruft gepr kontrolliert",
    "test": "tst tests testing tests",
    "tested": "tstd getestet",
    "cleaning": "washdown washing flushing brushing descaling reinigung nettoyage degreasing"
    " rinsing wiping wash swilling hoovering purging",
    "cleaned": "clnd washed flushed descaled wiped brushed degreased rinsed gereinigt"
    " gespült gespuelt geputzt entkalkt gesäubert gesaeubert ausgefräst ausgefraest ausgeblasen"
    " freigeblasen ausgespült ausgewaschen abgesaugt saubergemacht swilled hoovered vacuumed",
    "clean": "cln sauber",
    "change": "chg chng chnge chgs changes replace repl rpl rplc swap swaps exch exchange renew"
    " wechsel tausch austausch replacement changeout",
    "changed": "chgd chg'd chngd replaced replcd repl'd repld rplcd rplc'd swapped fitted renewed"
    " exchanged exchd gewechselt ausgewechselt ersetzt getauscht ausgetauscht erneuert",
    "changing": "replacing swapping renewing",
    "stop": "shutdown outage downtime stillstand abstellung stopp stopped wartungsstillstand",
    "function": "func functn funktn funct functional funktion fct funk",
    # parts that wear
    "tip": "tips stromdüse stromduese stromdüsen spitze spitzen kontaktdüse kontaktduese"
    " kontaktdüsen kontaktrohr kontaktspitze",
    "nozzle": "nozzles düse duese düsen gasdüse gasduese nozle",
    "liner": "liners drahtseele",
    "filter": "filters ölfilter oelfilter luftfilter filtr filt",
    "electrode": "electrodes elektrode elektroden",
    "insert": "inserts wendeplatte wendeplatten wsp schneidplatte schneidplatten platten platte"
    " wendeschneidplatte wendeschneidplatten",
    "strainer": "strainers sieb siebe siebkorb filterkorb schmutzfänger schmutzfaenger",
    "torch": "brenner torches torche",
    "tool": "werkzeug werkzeuge wkz",
    "chip": "späne spaene swarf chips",
    "tray": "wanne",
    "new": "neu neue neuer neues neuen",
    # measures
    "temp": "temperature temperatur temps temperaturen",
    "pressure": "druck pression",
    "flow": "durchfluss durchfluß débit fluss menge volumenstrom durchflussmenge",
    "sensor": "sensors fühler fuehler xmtr transmitter transducer capteur aufnehmer geber snsr",
    "gauge": "gage gauges manometer",
    "meter": "meters rotameter messgerät messgeraet zähler",
    "thermocouple": "tc tcs tc's thermocouples thermoelement rtd",
    "reference": "ref refs referenz étalon etalon",
    "handheld": "handmessgerät handfühler handgerät",
    "current": "strom ampere amps amp",
    "voltage": "spannung spg volts volt",
    "vibration": "schwingung schwingungen vib vibr vibs",
    "spindle": "spindel",
    "valve": "ventil regelventil vlv valves",
    "coolant": "kss kühlmittel kuehlmittel kühlschmierstoff emulsion",
    "probe": "taster messtaster tastkopf probes",
    "wire": "draht",
    "joint": "gelenk jnt",
    "return": "rücklauf ruecklauf",
    "suction": "saugseite saugdruck",
    "axes": "achse achsen axis",
    "load": "auslastung",
    "motor": "motors",
    "winding": "wicklung",
    "ball bar": "ballbar kreisform kreisformtest",
    # stages
    "done": "finished finshed finish fin completed complete completion compl comp cmpl closed clsd"
    " teco cnf accomp accomplished perf perf'd performed passed pass okay ok sat satisfactory"
    " erledigt fertig gemacht durchgeführt durchgefuehrt abgeschlossen beendet ausgeführt passt"
    " fait fini terminé conform conforme agrees dne concluded executed signed taken availed erl"
    " abg abgeschl fertiggestellt",
    "good": "gut fine",
    "started": "start starting starts begun began begin begins commenced commencing begonnen"
    " angefangen gestartet beginn beginne start'd strtd strt",
    "ongoing": "inprg wip running läuft laeuft underway inprogress",
    "planned": "plan planed planning scheduled sched schedule schd wsch geplant geplanter"
    " geplante geplanten geplantes angesetzt eingeplant terminiert plnd pland"
    " planmäßig planmäßiger vorgesehen",
    "today": "heute",
    "will": "wird werden",
    "now": "jetzt gerade momentan derzeit aktuell",
    "tomorrow": "tmrw tmr tmrow tomorow morgen",
    "maintenance": "maint wartung mtce",
    # taken back
    "cancelled": "canceled cancled canceld cancel cancels canx annulé annulée annule",
    "postponed": "postpone defer deferred",
    "failed": "fail fails failing unsuccessful",
    "moved": "move shifted verlegt",
}  # fmt: skip
PHRASES: Final = (
    (r"\br ?[&+] ?r\b(?! study)|\brem'?d (?:&|and) repl'?d\b", "changed"),
    (r"\b(?:removed|rem'?d) (?:&|and) (?:replaced|repl'?d)\b", "changed"),
    (r"\b(?:on|in) (?:the )?(?:plan|schedule|board|list)(?: (?:for|at))? (?=\d)", "planned "),
    (r"\bin full swing\b", "ongoing"),
    (r"\bc/w\b|\bcarried out\b|\b(?:in|within) (?:tol|spec|limits?|range)\w*\b", "done"),
    ((r"\b(?:runs?|running|works?|working|läuft|laeuft|ok|up|back|produces?) (?:ok )?again\b"
     r"|\b(?:läuft|laeuft) wieder\b"), "backrunning"),
    ((r"\b(?:back|wieder) (?:in |on |to |into |im |in den )?(?:the )?"
     r"(?:auto\w*|prod\w*|service|operation|line|running|cutting|welding|betrieb|run|"
     r"stream|duty)\b"),
     "backrunning"),
    ((r"\b(?:due|booked|slotted|pencill?ed|lined up|to follow|coming up|next up|comes?|coming|"
     r"kommt|folgt|pops? in|dran|expected)(?: (?:in|round|over|by|along|vorbei))?"
     r"(?: (?:for|at|@|around|um|gegen|ca\.?|about|abt))? "
     r"(?=(?:[01]?\d|2[0-3])[:.h][0-5]\d\b|(?!20[2-5]\d)(?:[01]\d|2[0-3])[0-5]\d\b)"), "planned "),
    ((r"\b(?:on the go|under way|at work|on it|busy (?:on|with|at)|busy|doing"
     r"|working on)\b"), "ongoing"),
    ((r"\b(?:(?:is|are|currently|now) )*being\b|\b(?:bin|sind|ist) (?=(?:an|am|bei"
     r"|dran)\b)"), "ongoing"),
    (r"(?<=[^\W\d_]t) (?:gerade|jetzt|momentan|derzeit)\b", " ongoing"),
    (r"\bwrapped up\b|\bbuttoned up\b", "done"),
    (r"\b(tcp|werkzeug\w*|tool)((?: [\w@]+){0,2}) (?:neu |nach)?vermessen\b", r"\1\2 calibrated"),
    (r"\b(spindel|motor|antriebs) ?last\b", r"\1 load"),
    (r"\b(?:circularity|kreisform) ?(?=test|check|chk|prüfung)", "ball bar "),
    (r"\bwire ?feed(?=s?\b)", "wire feed"),
    ((r"\b(?:wird|werden|is being|are being) (?:gerade |jetzt |now )?(?:gerade|jetzt"
     r"|now|being)\b"), "ongoing"),
    ((r"\bam (?=(?:kalibrieren|reinigen|prüfen|wechseln|tauschen|putzen|spülen|"
     r"abgleichen|messen)\b)"),
     "ongoing "),
    ((r"\b(?:[av][/+&][av]|[ui][/+&][ui]|amps?/volts?|volts?/amps?"
     r"|strom/sp\w*)(?![\w-])"), "current voltage"),
    (r"\bneu (?=eingemessen|kalibriert|abgeglichen)", " "),
    ((r"\bsauber ?gemacht\b|\bmucked out\b|\bhosed (?:down|out|off)\b|"
     r"\bcleared of (?:chips|swarf)\b"),
     "cleaned"),
    (r"\bflow-?meter(?=s?\b)", "flow meter"),
    (r"\bin progress\b|\bunder (?:way|progress)\b|\bin work\b|\bkicked off\b", "ongoing"),
    (r"\bcarrying out\b|\bdo\b(?= calibration)", "ongoing"),
    (r"\b(?:changed|swapped) (?:out|over)\b|\bc/o\b", "changed"),
    (r"\bchange[- ]?(?:out|over)\b", "change"),
    (r"\b(?:e-? ?stop|emergency stop|not-? ?(?:halt|aus))s?\b", "estop"),
    (r"\bfunktions(?:test|prüfung|pruefung)\b", "function test"),
    (r"\b(?:shut|shutting) down\b|\bturn ?around\b", "stop"),
    (r"\bwartungs-?sto(?:p|pp|ps)\b|\bpm (?:stop|shutdown)\b", "planned stop"),
    (r"\bwash(?:ed|ing)? ?(?:down|out)\b|\bcleaned (?:out|up|down)\b", "cleaned"),
    (r"\bblown? ?(?:out|through)\b", "cleaned"),
    (r"\bcross[- ]?check(?:ed)?\b", "verified"),
    (r"\b(?:as|according to|per|to) (?:per )?(?:the )?(?:plan(?:ned)?|scheduled?)\b", "asplanned"),
    (r"\b(?:at|on) (?:the )?(?:sched|scheduled|planned|pm) (?:interval|time)\b", "asplanned"),
    (r"(?<![\w-])on (?:schedule|planned)\b", "asplanned"),
    (r"\bwithin (?:\+/-|\u00b1)? ?\d[\d.,]* ?\S{1,4}(?=\s|$)", "done"),
    (r"\bw/(?=\s|\w)", "with "),
    (r"\bmoc\b", "change request"),
    (r"\bas[- ]found\b.*\bas[- ]left\b", "calibrated"),
    (r"\bre-(?=cal|zero|verif|master)", "re"),
    (r"\bzero ?(?:/|&|and|\+) ?span\b|\bzero ?(?:adj\w*|trim\w*)\b|\bspan (?:adj|set)\w*",
     "calibration"),
    (r"\bput back in\b|\b(?:returned|back) (?:to|in|into) (?:service|auto|operation)\b", " "),
    (r"\b(?:good|ready|fit) to (?:go|run)\b|\bsigned off\b|\ball good\b", "good"),
    (r"\bhands off\b", " "),
    (r"\b(torch|nozzle|tip)(e?s)? (?:was |were )?reamed\b", r"\1 cleaned"),
    (r"\breamed (?=(?:\S+ ){0,2}(?:torch|nozzle|tip))", "cleaned "),
    (r"\b(?:rep|leak|run up) ?(?:&|and) ?leak c(?:hec)?k\b|\bleak c(?:hec)?k(?:'?d)? good\b", " "),
    (r"\bno (?:defects?|discrepanc\w*|findings?) (?:noted|found)\b", " "),
)  # fmt: skip
# Known as they are, so that a slip of the keyboard in them is seen through.
PLAIN: Final = (
    "calibration calibrated calibrate calibrating verification verified verify check checked test "
    "tested cleaning cleaned clean change changed changing stop function nozzle liner filter "
    "electrode insert strainer torch temp pressure sensor gauge meter thermocouple reference "
    "handheld done good started ongoing planned tomorrow maintenance cancelled postponed failed "
    "moved contact wire feeder probe routine robot vibration spindle today yesterday "
    "broken repair repaired repairs damaged again needs needed requires required request leaking "
    "leak cracked blocked stuck faulty fault error alarm problem alarms errors tripped please "
    "kindly should waiting pending suspended aborted stopped rejected skipped missed forgot "
    "overdue missing wrong drifting drift unstable collision crashed jammed valve against master "
    "progress safety interlock before after since instead without"
)
# Of the words in SAME, those that people write often enough to slip in.
SLIPPED: Final = (
    "finished completed completion replaced swapped scheduled schedule shutdown temperature "
    "thermocouples transmitter transducer recalibrated recalibration calibrations validated "
    "starting flushed canceled cancel deferred callib calib kalibriert kalibrierung gereinigt "
    "reinigung gewechselt ausgetauscht geprüft geplant durchgeführt abgeschlossen unsuccessful "
    "verifiziert überprüft abgeglichen begonnen gestartet eingemessen"
)
# What looks like a slip of one of the words above, and is a word of its own.
_OTHERS: Final = (
    "caliber celebrated celebrates celebrating celebration celebrations certification clashed "
    "cleansing cleared clearing cleats coated commended commented compete competed competent "
    "contracts concerned connected contracted cratered charged charges crushed damper dampers "
    "diluted drafting drained electrons engaged falling filed filing filled filmed finishing "
    "finnish fished flashed fictional hanging junction leading leaping leasing leaving lifting "
    "linger loading locating loosing mastery matter messing metre metres missile meteor "
    "mounted moving peeled planner planted planting pleas pleased pressured presumed reacting "
    "reading recalls reeled released rebuilt referenced references registered registering "
    "rejecting renamed repairing replayed replies rerouted resting routing ruining sampled "
    "scaled scanned seniors sensory setting settled shipped sipped skipper slapped slipped "
    "shift shifts "
    "snapped spooled stamped stared starred starter starters staring started stating startled "
    "strained striped struck successful swapping tampered tasted tasting temperate tempered "
    "tightened tipped topped trapped trimmed trucked turned valuation vale value values "
    "variation vented wanting wasting welding winding wiring wishing writing "
    "charging chanting complexion "
    "compilation contract leaning linear masters mater stated stepped stomped cleaner cleaners "
    "starving starved startled transmitted chancel"
)
OTHERS: Final = frozenset(_OTHERS.split()) - set(PLAIN.split())
