"""Which commands there are, where each of them is, and the line that help has for it.

A module of commands is imported when one of its commands is called or asked for its own help, so
`andon --help` knows only what stands here. A test holds the lines against the modules' own.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Line(NamedTuple):
    """A command: `module:function` below `andon`, and the first line of its docstring."""

    place: str
    says: str


class Group(NamedTuple):
    """Commands behind one name; help: its page, whose first line stands among the others."""

    help: str
    commands: dict[str, Line]

    @property
    def says(self) -> str:
        """The line among the others."""
        return self.help.partition("\n")[0]


def _commands(table: str) -> dict[str, Line]:
    """Two lines a command: its name and place; what it says."""
    lines = table.split("\n")[1:-1]
    heads = (head.split() for head in lines[::2])
    return {n: Line(place, says) for (n, place), says in zip(heads, lines[1::2], strict=True)}


KB: Final = Group(
    help="""Maintenance knowledge: build a snapshot from a folder of texts and keep it up to date.

A snapshot remembers the folder that it was built from. add, update and remove change that folder
and publish the next snapshot; watch publishes whatever changes in it; the ones before are kept, and
rollback and diff go back to them. What fails changes nothing.

\b
Examples:
  andon kb build plant-docs -o kb/current
  andon kb add pump.md --into manuals
  andon kb update pump.md
  andon kb remove MAN-GAS
  andon kb watch
  andon kb rollback --list
""",
    commands=_commands("""
build knowledge:kb_build
Read documents, orders, schedules, logs and scope tables into a snapshot.
search knowledge:kb_search
Search a snapshot.
show knowledge:kb_show
Show a passage, document or proposal with its source.
add knowledge:kb_add
Put new files into the folder of documents and publish.
update knowledge:kb_update
Replace files of the folder of documents and publish.
remove knowledge:kb_remove
Take documents out of the folder and publish; they go to the hidden folder .trash within.
watch knowledge:kb_watch
Publish whatever changes in the folder of documents, until interrupted.
rollback knowledge:kb_rollback
Go back to a snapshot that is kept, and say what changes; the folder stays as it is.
diff knowledge:kb_diff
Say which documents, proposals and approved rows differ between two snapshots.
proposals knowledge:kb_proposals
List the work that orders, schedules and logs propose, by its time.
eval answers:kb_eval
Judge how well a folder is searched: rankings, filters, citations.
propose-scope proposing:propose_scope
Propose rows of a scope table from procedures: what work disturbs, how long it lasts.
propose-limits proposing:propose_limits
Propose engineering limits from manuals, and failure modes and alarm codes with `--modes`.
tune tuning:kb_tune
Make a text model of the site's own words; it is kept only when it searches better.
"""),
)

MODEL: Final = Group(
    help="""The bundles of a gateway: list, compare, shadow, approve, promote, go back.

Example: `andon model list --config gateway.toml`
""",
    commands=_commands("""
list lifecycle:model_list
List the bundles that are kept, configured or proposed, and which of them counts.
show lifecycle:model_show
Show one bundle: its card, thresholds, metrics, training, signature and history.
diff lifecycle:model_diff
Say what would change from one bundle to another: assets, channels, thresholds, levels.
shadow lifecycle:model_shadow
Let a candidate score live traffic beside the current bundle; nothing of it is published.
approve lifecycle:model_approve
Approve a bundle by its hash: the word of a second person, before it may be promoted.
promote lifecycle:model_promote
Let a bundle count: a running gateway takes it over in seconds, and watches it for a while.
rollback lifecycle:model_rollback
Go back to the bundle before, or to one that counted earlier; no approval is needed.
import importing:model_import
Make a bundle of an ONNX model of your own, calibrated on a recording of normal operation.
"""),
)

AUDIT: Final = Group(
    help="""The audit trail: verify it, show it.

Example: `andon audit verify --config gateway.toml`
""",
    commands=_commands("""
verify audit:audit_verify
Check the chain of hashes: exit code 0 when it is whole, 1 at the first broken record.
show audit:audit_show
Show what kept alerts quiet, and what people said, oldest first.
"""),
)

KEYS: Final = Group(
    help="""Keys that sign what may suppress.

Example: `andon keys new ~/keys --name ann`
""",
    commands=_commands("""
new signing:keys_new
Make a key pair: NAME.key stays secret, NAME.pub goes into gateway.toml.
list signing:keys_list
List whom a gateway believes: each key, what it may sign, until when, and whether it counts.
"""),
)

DEPLOY: Final = Group(
    help="""Files for other products, made for this site: what they show names its assets.

Example: `andon deploy fuxa gateway.toml -o project.json`
""",
    commands=_commands("""
fuxa deploying:fuxa
Write a project for FUXA: a tag for each asset and key, numeric alarms, a view of six assets.
"""),
)

USERS: Final = Group(
    help="""Who may sign in on the operator page: add, list, try, change, remove.

Example: `andon users add ann --role operator --config gateway.toml`
""",
    commands=_commands("""
add users:users_add
Add a user, and ask for the password.
list users:users_list
List who may sign in, and as what.
try users:users_try
Ask for a password, and say as what it would sign in, or why not. Exit code 1: not.
remove users:users_remove
Remove a user; sessions of the user end at once.
password users:users_password
Set another password; sessions of the user end at once.
role users:users_role
Give a user another role; sessions of the user end at once.
"""),
)

REPORT: Final = Group(
    help="""Reports for people, as one HTML file or as PDF: handover of a shift, alarms of a month.

Example: `andon report handover gateway.toml -o handover.pdf`
""",
    commands=_commands("""
handover reporting:report_handover
Write the handover sheet of a shift: new, standing, kept quiet, blind, jobs to confirm.
month reporting:report_month
Write the alarm report of a month, by the figures of ISA-18.2 and EEMUA 191.
"""),
)

EVAL: Final = Group(
    help="""Measure what Andon is worth, with known truth.

Example: `andon eval suppression --cells weld --seeds 0:2`
""",
    commands=_commands("""
suppression evaluation:suppression
What knowledge takes off an operator, and whether it ever hides a fault.
"""),
)

BENCH: Final = Group(
    help="""Score the detector on public benchmarks, or measure how fast this machine is with it.

\b
Examples:
  andon bench skab data/skab
  andon bench nab data/nab --json --threshold 12.5
  andon bench speed --html speed.html
""",
    commands=_commands("""
skab bench:skab
Score the detector on SKAB: a pump and its valves.
nab bench:nab
Score the detector on NAB: single streams.
tep bench:tep
Score the detector on the Tennessee Eastman process: a chemical plant.
cnc bench:cnc
Score the detector on tool wear of a CNC mill.
speed speed:speed
Measure how fast Andon is on this machine, beside what its core can do and beside peers.
"""),
)
ALARMS: Final = Group(
    help="""Rationalisation (ISA-18.2): what each alert means, as a table both ways.

\b
Examples:
  andon alarms export gateway.toml -o alarms.csv
  andon alarms import alarms.csv --config gateway.toml
""",
    commands=_commands("""
export alarms:export
Write the rationalisation table as it counts now, a row for each track of each asset.
import alarms:import_
Check a rationalisation table, and put it where [include] alarms names it.
"""),
)
WIRE: Final = Group(
    help="""How tags are wired: take over exports of other products, see what the plant has changed.

\b
Examples:
  andon wire import kepware press.csv --device Press4 -o press4
  andon wire import ignition tags.json --below Plant/Line3/Press -o press
  andon wire diff gateway.toml
""",
    commands=_commands("""
import wiring:wire_import
Make tables and a gateway.toml of tags that Kepware or Ignition exports.
diff wiring:wire_diff
Say what the plant has renamed, rescaled or re-typed, and propose what it is now.
"""),
)
COMMANDS: Final[dict[str, Line | Group]] = {
    **_commands("""
demo streams:demo
One shift of a simulated weld cell: broker, gateway and a live table of alerts.
simulate streams:simulate
Write a scenario of a simulated cell: recording, training, texts, truth, gateway.toml.
replay streams:replay
Publish a recording over MQTT (QoS 1).
discover discovering:discover
Listen to a broker, say what it carries, and write a gateway.toml of it.
record streams:record
Keep what crosses MQTT as a journal that `andon replay` plays back byte for byte.
learn discovering:learn
Record what a gateway would hear for an hour, fit it, and let gateway.toml name the bundle.
fit detectors:fit
Make a detector bundle from a recording of normal operation: seconds, on the gateway.
backtest detectors:backtest
Run the gateway's engine over a recording without a broker, as fast as it goes.
propose-bundle detectors:propose_bundle
Fit a child bundle on what came after the newest closed job, and compare it; adopt nothing.
adopt-bundle detectors:adopt_bundle
Write a bundle into [model] of gateway.toml, after it was opened and checked.
run streams:run
Run the gateway until SIGTERM or Ctrl-C.
page pages:page
Serve the operator's page: what rings, what is kept quiet and why; a process of its own.
reload reloading:reload
Let a running gateway take over a changed gateway.toml and its tables; shows what changes.
accept commissioning:accept
Put assets into service: from then on their alerts ring for operators.
check streams:check
Check configuration, broker, bundle and snapshot: what counts, what is published, what to do.
doctor doctor:doctor
Say on one page what is wrong and what to do: files, broker, gateway, what it says of itself.
memory memory:memory
Say what a gateway's memory is spent on, part by part, before it runs.
broker brokers:broker
Write mosquitto's configuration and access lists for this gateway, and what is left to do.
schemas published:schemas
Write what is published and taken, topic by topic, as AsyncAPI 3 with JSON Schemas.
explain explanations:explain
Say again why an alert rang: what happened, what it resembles, what to check first.
why explanations:why
Say why there was no alert at a time, or which one there was.
ask answers:ask
Answer a question from the documents: their own sentences, each with its source.
dead-letters dead_letters:dead_letters
Show messages that could not be read, oldest first: when, where, why, and how they begin.
sign signing:sign
Sign a bundle, a snapshot or a file: the signature goes beside it and changes nothing in it.
verify signing:verify
Check every hash of something, and who has signed it: exit code 0 when that counts, else 1.
prove prove:prove
Put known faults into a copy of what the gateway took, and tell what would ring.
label labelling:label
Collect labelled intervals into one file, and show what it says; without a source only show.
tune tune_bundle:tune
Learn from labels: name failure modes, and ring less where an alert was nothing.
backup boxes:backup
Copy a whole gateway into one file, also while it runs: what a replacement box needs.
restore boxes:restore
Make a gateway of a backup: checked, in a directory of its own, as another box than the old.
fence boxes:fence
Show which box this is and whether another has taken over; or let this one speak again.
retire boxes:retire
End what is retained of an asset that is gone, and clear its topics at the broker.
"""),
    "kb": KB,
    "model": MODEL,
    "audit": AUDIT,
    "alarms": ALARMS,
    "keys": KEYS,
    "deploy": DEPLOY,
    "users": USERS,
    "wire": WIRE,
    "report": REPORT,
    "eval": EVAL,
    "bench": BENCH,
}
