"""Ablation: what each clause of the decision rule is worth, by leaving it out of the attacks.

A clause that can go without any attack getting through is covered by others, or by no attack.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from edge.records import Decision, Verdict
from edge.verdicts.decide import Facts, decide
from simulator import adversary
from simulator.attack_families import FAMILIES

NOT_LEFT_OUT: Final = frozenset({"proposal"})  # it only annotates


def decide_without(facts: Facts, *, clause: str) -> Decision:
    """The rule as if one clause always held. For measuring only; nothing else may call it."""
    decision = decide(facts)
    if facts.job is None or decision.verdict is Verdict.SUPPRESSED:
        return decision
    failed = {one.name for one in decision.clauses if one.outcome is not True}
    if failed != {clause}:
        return decision
    return msgspec.structs.replace(decision, verdict=Verdict.SUPPRESSED, job_id=facts.job.job_id)


def clauses() -> tuple[str, ...]:
    """Names of the clauses that a job has to pass, as the rule lists them."""
    with tempfile.TemporaryDirectory(prefix="andon-ablation-") as folder:
        where = adversary.plant(0, Path(folder))
        honest = next(v for v in adversary.variants(where, range(1)) if v.honest)
        seen: dict[str, None] = {}

        def noted(facts: Facts) -> Decision:
            decision = decide(facts)
            if facts.job is not None:
                seen.update(dict.fromkeys(one.name for one in decision.clauses))
            return decision

        adversary.judge(honest, where, rule=noted)
    return tuple(name for name in seen if name not in NOT_LEFT_OUT)


class Ablated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the attacks without one clause; `wrong` of them got through."""

    clause: str
    attacks: int
    wrong: int


def ablate(seed: int, clause: str, turns: int = 1) -> Ablated:
    """Leave one clause out and run every family `turns` times."""
    rule = functools.partial(decide_without, clause=clause)
    outcomes = adversary.run(seed, range(turns * len(FAMILIES)), rule=rule)
    attacks = [outcome for outcome in outcomes if not outcome.honest]
    wrong = sum(outcome.wrong for outcome in attacks)
    return Ablated(clause=clause, attacks=len(attacks), wrong=wrong)
