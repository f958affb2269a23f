"""Policy as rules: decided, vectorised, printed, proved and published. Pure; see README.md.

package = policy.load(folder)
decision = package.decide("5c", facts, on=date(2026, 11, 23))
decision.amount_fen, decision.as_json()
"""

from suanwang.policy.decision import CapResult, ConditionResult, Decision, Step
from suanwang.policy.loader import load, load_published, packages
from suanwang.policy.package import Package
from suanwang.policy.parts import Parameter
from suanwang.policy.split import Share, Split

__all__ = [
    "CapResult",
    "ConditionResult",
    "Decision",
    "Package",
    "Parameter",
    "Share",
    "Split",
    "Step",
    "load",
    "load_published",
    "packages",
]
