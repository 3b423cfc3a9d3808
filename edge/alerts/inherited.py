"""What stands on an alert's topic and is not what this process knows: it becomes our next word.

A process that died while it was not durable, or that had another configuration, has said it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.alerts import CLASSES, AlertState
from edge.alerts.explain import FORGOTTEN
from edge.alerts.numbering import follow

if TYPE_CHECKING:
    from edge.alerts.alerts import AlertRecord
    from edge.records import AlertStands

MILLISECOND_NS: Final = 1_000_000
ANEW: Final = "decided anew after a restart: what was said before came of another configuration"


def inherit(record: AlertRecord, stands: AlertStands, *, t_ns: int) -> tuple[int, str]:
    """Put our revision behind the one that stands; returns when and why it is said, for `turn`.

    An alert that we do not know is over as far as we can tell, and nobody's while it was not
    acknowledged: it waits as cleared to be seen, with its own times. Where it is still true, its
    event opens again, under the same id. It takes the place of one of ours only when that is older
    and says nothing any more: a broker that lost its last minutes shows what has been seen since.
    No time of it is taken from the future, which only who forges or has a wrong clock says. t_ns:
    now, 0 not known yet.
    """
    changed_ns, begin_ns = stands.changed_ms * MILLISECOND_NS, stands.begin_ms * MILLISECOND_NS
    idle = not (record.active or record.silenced or record.state is AlertState.CLEARED_UNACK)
    newer = changed_ns > record.changed_ns
    unknown = record.alert_id != stands.alert_id and (
        not record.alert_id or (stands.unseen and newer and idle)
    )
    record.klass = record.klass or CLASSES[stands.track]
    if unknown:
        record.alert_id = stands.alert_id
        record.revision = record.leap_due = record.count = record.rung = 0
        follow(record, stands.revision, by=stands.leap)
        record.history, record.heard, record.label = (), (), ""
        record.decision, record.job_id, record.group_id = None, "", ""
        record.excused_by, record.rang_as, record.rings_again_ns = "", None, 0
        record.score, record.escalated, record.quiet = 0.0, False, False
        record.contributions, record.resembles, record.fault = (), (), None
        if t_ns:
            changed_ns, begin_ns = min(changed_ns, t_ns), min(begin_ns, t_ns)
        record.begin_ns = begin_ns
        record.state = AlertState.CLEARED_UNACK if stands.unseen else AlertState.NORMAL
        t_ns = max(t_ns, changed_ns, begin_ns)
        record.cleared_ns = t_ns
        record.sentences = (FORGOTTEN,)
        return t_ns, FORGOTTEN.text
    if record.alert_id == stands.alert_id:
        follow(record, stands.revision, by=stands.leap)
    follow(record, stands.own_revision, by=stands.leap)
    return t_ns, ANEW
