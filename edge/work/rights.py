"""Rights: which operator may do what, and about which assets.

A command is judged by the assets that it is about, wherever it names them: by alert, proposal, job
or asset. What it names and nobody knows is refused by whoever looks it up.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from edge.errors import WireError
from edge.trust import OperatorRights
from edge.wire.commands import Confirm, JobCommand, OutOfService, seen_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.settings import GatewaySettings
    from edge.wire.commands import Command

NAMED_MAX: Final = 5  # of assets that a refusal names


def rights_of(operator: str, settings: GatewaySettings) -> OperatorRights:
    """What is configured of an operator, or of who is not configured."""
    found = next((one for one in settings.operator if one.name == operator), None)
    return found or OperatorRights(name=operator, may=settings.trust.unknown_may)


def is_shared(operator: str, settings: GatewaySettings) -> bool:
    """Whether several people use an operator's name."""
    return rights_of(operator, settings).shared


def check_rights(command: Command, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int) -> None:
    """Raise WireError naming the rule, where an operator may not do this, or not so.

    Command of a shared account, what is beyond its rights, and what would keep something quiet
    without a reason. now_ns: plant time.
    """
    site, name = desk.settings, command.name
    rights = rights_of(command.operator, site)
    who = command.operator
    if name not in rights.may:
        known = any(one.name == who for one in site.operator)
        may = ", ".join(rights.may) or "nothing"
        whose = f"{who} may" if known else f"{who} is no configured operator; such may"
        raise _refusal(command, f"{whose} {may}, not {name}", "command_beyond_rights")
    if (
        rights.shared
        and command.keeps_quiet
        and isinstance(command.body, Confirm | JobCommand | OutOfService)
    ):
        message = (
            f"{who} is a shared account: nobody can say who that was, so it opens, confirms and"
            " extends no job and takes nothing out of service; use an account of your own"
        )
        raise _refusal(command, message, "command_shared")
    about = concerned(command, assets=assets, desk=desk, now_ns=now_ns)
    beyond = sorted(asset for asset in about if not _covers(rights, asset, site))
    if beyond:
        message = f"{who} has no rights on {_named(beyond)}"
        raise _refusal(command, message, "command_beyond_rights")
    asset = getattr(command.body, "asset", "")
    if asset and asset not in assets:
        theirs = sorted(one for one in assets if _covers(rights, one, site))
        message = f"no asset {asset}; there are {_named(theirs)}"
        raise _refusal(command, message, "command_unknown_asset")
    needs_reason = command.keeps_quiet and name in site.trust.reason_for
    if needs_reason and not seen_text(getattr(command.body, "reason", "")):
        message = f"{name} may keep something quiet: it needs a reason"
        raise _refusal(command, message, "command_unreasoned")


def concerned(
    command: Command, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> set[str]:
    """The assets that a command is about, as far as it can be told; all of a group's members."""
    body = command.body
    found: set[str] = {getattr(body, "asset", "")} - {""}
    alert_id, job_id = getattr(body, "alert_id", ""), getattr(body, "job_id", "")
    if alert_id:
        for group in desk.annunciator.groups().values():
            if group is not None and group.group_id == alert_id:
                found |= {member.ring.asset for member in group.members}
        found |= {name for name, asset in assets.items() if _has_alert(asset, alert_id)}
    if job_id:
        found |= {
            name
            for name, asset in assets.items()
            if any(run.job.job_id == job_id for run in asset.state.runs)
        }
    if isinstance(body, Confirm):
        proposal = desk.proposed.get(body.proposal_id, now_ns=now_ns)
        found |= {proposal.asset} if proposal is not None else set()
    return found


def _has_alert(asset: Asset, alert_id: str) -> bool:
    state = asset.state
    return any(record.alert_id == alert_id for record in state.alerts.values()) or any(
        past.alert_id == alert_id for past in state.past
    )


def _covers(rights: OperatorRights, asset: str, site: GatewaySettings) -> bool:
    if not rights.assets and not rights.positions:
        return True
    if rights.positions and site.of_asset(asset).position in rights.positions:
        return True
    return any(fnmatchcase(asset, entry.replace("[", "[[]")) for entry in rights.assets)


def _named(assets: Sequence[str]) -> str:
    """Some of them: an answer is no list of the plant, and not a hundred times its question."""
    return ", ".join(assets[:NAMED_MAX]) + ", ..." * (len(assets) > NAMED_MAX)


def _refusal(command: Command, message: str, rule: str) -> WireError:
    return WireError(message, reason=rule, topic=command.topic)
