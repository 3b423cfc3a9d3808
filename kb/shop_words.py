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
    " nullabgleich justage justierung mastering remastering etalonnage",
    "calibrated": "cal'd cald calib'd recal'd recald recalibrated kalibriert nachkalibriert"
    " rekalibriert abgeglichen justiert zeroed remastered ausgelitert",
    "calibrate": "recalibrate calibrates kalibrieren",
    "calibrating": "recalibrating",
    "verification": "verif vrf verifs validation verifications verifizierung",
    "verified": "verif'd verifd verfd vrfd validated crosschecked cross-checked verifiziert",
    "verify": "validate verifies verifying",
    "check": "chk ck chck checks kontrolle prüfung pruefung",
    "checked": "compared chkd chk'd ck'd ckd geprüft geprueft gepruft kontrolliert",
    "test": "tst tests testing",
    "tested": "tstd getestet",
    "cleaning": "washdown washing flushing brushing descaling reinigung nettoyage degreasing"
    " rinsing wiping wash",
    "cleaned": "clnd washed flushed descaled wiped brushed degreased rinsed gereinigt"
    " gespült gespuelt geputzt entkalkt gesäubert",
    "clean": "cln",
    "change": "chg chng chnge chgs changes replace repl rpl rplc swap swaps exch exchange renew"
    " wechsel tausch austausch replacement changeout",
    "changed": "chgd chg'd chngd replaced replcd repl'd repld rplcd rplc'd swapped fitted renewed"
    " exchanged exchd gewechselt ausgewechselt ersetzt getauscht ausgetauscht erneuert",
    "changing": "replacing swapping renewing",
    "stop": "shutdown outage downtime stillstand stopp stopped wartungsstillstand",
    "function": "func funct functional funktion fct funk",
    # parts that wear
    "tip": "tips stromdüse stromduese stromdüsen spitze",
    "nozzle": "nozzles düse duese düsen gasdüse gasduese nozle",
    "liner": "liners drahtseele",
    "filter": "filters ölfilter oelfilter luftfilter filtr filt",
    "electrode": "electrodes elektrode elektroden",
    "insert": "inserts wendeplatte",
    "strainer": "strainers sieb",
    "torch": "brenner torches torche",
    # measures
    "temp": "temperature temperatur temps",
    "pressure": "druck pression",
    "flow": "durchfluss gasfluss débit",
    "sensor": "sensors fühler fuehler xmtr transmitter transducer capteur",
    "gauge": "gage gauges manometer",
    "meter": "meters flowmeter flowmeters rotameter messgerät",
    "thermocouple": "tc tcs tc's thermocouples thermoelement rtd",
    "reference": "ref refs referenz étalon etalon",
    "handheld": "handmessgerät",
    # stages
    "done": "finished finshed finish fin completed complete completion compl comp cmpl closed clsd"
    " teco cnf accomp accomplished perf perf'd performed passed pass okay ok sat satisfactory"
    " erledigt fertig gemacht durchgeführt durchgefuehrt abgeschlossen beendet ausgeführt passt"
    " fait fini terminé conform conforme agrees dne concluded executed signed taken availed",
    "good": "gut fine",
    "started": "start starting starts begun began begin begins commenced commencing begonnen"
    " angefangen gestartet",
    "ongoing": "inprg wip running läuft laeuft underway inprogress",
    "planned": "plan planed planning scheduled sched schedule schd wsch geplant geplanter geplante"
    " planmäßig planmäßiger vorgesehen",
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
    (r"\bc/w\b|\bcarried out\b|\b(?:in|within) (?:tol|spec|limits?|range)\w*\b", "done"),
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
    (r"\bon (?:schedule|planned)\b", "asplanned"),
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
    "reinigung gewechselt ausgetauscht geprüft geplant durchgeführt abgeschlossen unsuccessful"
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
    "snapped spooled stamped stared starred starter starters staring started stating startled "
    "strained striped struck successful swapping tampered tasted tasting temperate tempered "
    "tightened tipped topped trapped trimmed trucked turned valuation vale value values "
    "variation vented wanting wasting welding winding wiring wishing writing "
    "charging chanting complexion "
    "compilation contract leaning linear masters mater stated stepped stomped cleaner cleaners "
    "starving starved startled transmitted chancel"
)
OTHERS: Final = frozenset(_OTHERS.split()) - set(PLAIN.split())
