"""The life of a job as a table, and the limits of what it may carry. Pure.

::

    queued ─place→ placed ─start→ starting ─run→ running ─→ succeeded | failed | cancelled
       ↑             │               │              │        | timeout | out_of_memory
       └───requeue───┴───────────────┴──────────────┘
    cancel: queued → cancelled at once; later → cancelling, until the agent says what became of it
    lose:   after the last attempt was lost → lost
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from suanwang.core.errors import Refused

State = Literal[
    "queued",
    "placed",
    "starting",
    "running",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "timeout",
    "out_of_memory",
    "lost",
]
Step = Literal[
    "place",
    "start",
    "run",
    "succeed",
    "fail",
    "stop",
    "run_out_of_time",
    "run_out_of_memory",
    "requeue",
    "lose",
    "cancel",
]

ATTEMPTS_MAX: Final = 3
"""After so many lost attempts the job is lost."""
LEASE_UNTAKEN: Final = timedelta(seconds=120)
"""How long an agent has to take up a lease."""
LEASE_RENEWED: Final = timedelta(seconds=300)
"""How long a lease lasts after the agent last named it."""
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of one stream of one attempt."""
LOG_PIECE_BYTES_MAX: Final = 1024 * 1024
FILES_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of all files of one job in one direction."""
FILES_OUT_MAX: Final = 1000

ENDS: Final[dict[str, Step]] = {
    "succeeded": "succeed",
    "failed": "fail",
    "cancelled": "stop",
    "timeout": "run_out_of_time",
    "out_of_memory": "run_out_of_memory",
}
"""What an agent may report as the end of an attempt, by step."""

SITE_REFUSALS: Final = frozenset(
    {
        "site_organisation_refused",
        "site_image_refused",
        "site_cores_exceeded",
        "site_memory_exceeded",
        "site_accelerators_exceeded",
        "site_nodes_exceeded",
        "site_walltime_exceeded",
        "site_hours_closed",
        "site_draining",
        "site_policy_broken",
    }
)
"""Why a centre's own word was against a job; what else a newer agent may say is kept as
``site_refused``.
"""
SITE_SHUT: Final = frozenset({"site_draining", "site_policy_broken"})
"""Those that are against all jobs alike: the cluster takes nothing until its agent says so."""

_END_STATES: Final[dict[Step, State]] = {
    "succeed": "succeeded",
    "fail": "failed",
    "run_out_of_time": "timeout",
    "run_out_of_memory": "out_of_memory",
    "lose": "lost",
}

TRANSITIONS: Final[dict[State, dict[Step, State]]] = {
    "queued": {"place": "placed", "cancel": "cancelled"},
    "placed": {
        **_END_STATES,
        "start": "starting",
        "run": "running",
        "requeue": "queued",
        "cancel": "cancelling",
    },
    "starting": {
        **_END_STATES,
        "start": "starting",
        "run": "running",
        "requeue": "queued",
        "cancel": "cancelling",
    },
    "running": {**_END_STATES, "run": "running", "requeue": "queued", "cancel": "cancelling"},
    # A job may end in its own way before the agent gets round to stopping it.
    "cancelling": {
        **_END_STATES,
        "stop": "cancelled",
        "start": "cancelling",
        "run": "cancelling",
        "requeue": "cancelled",
        "lose": "cancelled",
        "cancel": "cancelling",
    },
    "succeeded": {},
    "failed": {},
    "cancelled": {},
    "timeout": {},
    "out_of_memory": {},
    "lost": {},
}

ENDED: Final[frozenset[State]] = frozenset(s for s, steps in TRANSITIONS.items() if not steps)


def after(state: State, step: Step) -> State:
    """The state a step leads to.

    Refuses ``job_has_ended`` and ``job_step_impossible``.
    """
    following = TRANSITIONS[state].get(step)
    if following is None:
        if state in ENDED:
            raise Refused("job_has_ended", state=state)
        raise Refused("job_step_impossible", state=state, step=step)
    return following


def after_loss(state: State, charged: int) -> State:
    """What becomes of a job of which so many attempts were lost: the queue again, or the end."""
    return after(state, "requeue" if charged < ATTEMPTS_MAX else "lose")
