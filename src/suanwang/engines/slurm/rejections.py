"""What Slurm's words against a submission mean. Both ways of asking use the same words."""

from __future__ import annotations

from typing import Final

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.transport import NotTaken

GONE: Final = ("Invalid job id", "already completing or completed", "Job step not running")
"""Said of a job that cannot be cancelled because there is nothing of it to end."""
_NOT_ASKED: Final = (
    "Unable to contact slurm controller",
    "slurmctld config is unable to load",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Communication connection failure",
    "Connection refused",
    "Connection reset",
    "Slurm backup controller in standby mode",
    "Protocol authentication error",
    "Invalid authentication credential",
    "Incompatible versions of client and server",
    "Unexpected message received",
)
_LATER: Final = (
    "Job violates accounting/QOS policy",
    "temporarily unable to accept job",
    "Resource temporarily unavailable",
    "Required partition not available",
    "Required node not available",
    "Job submit limit",
    "maximum job count",
)
_NEVER: Final = {
    "Requested node configuration is not available": "engine_no_node_fits",
    "Memory required by task is not available": "engine_no_node_fits",
    "Memory specification can not be satisfied": "engine_no_node_fits",
    "Node count specification invalid": "engine_no_node_fits",
    "More processors requested than permitted": "engine_no_node_fits",
    "Invalid generic resource": "engine_no_such_card",
    "Invalid partition name": "engine_no_partition",
    "invalid partition specified": "engine_no_partition",
    "group not permitted to use this partition": "engine_not_allowed",
    "Invalid account": "engine_not_allowed",
    "Invalid qos": "engine_not_allowed",
    "Invalid user id": "engine_not_allowed",
    "Access/permission denied": "engine_not_allowed",
    "Requested time limit is invalid": "engine_walltime_too_long",
    "Job has invalid time limit": "engine_walltime_too_long",
}


def refusal(said: str) -> NotTaken | EngineUnavailable:
    """What to raise for it. Words nobody knows are a refusal for good: to submit the same job
    again and again would help nobody.
    """
    said = " ".join(said.split())[:300]
    if any(words in said for words in _NOT_ASKED):
        return EngineUnavailable(said)
    for words, code in _NEVER.items():
        if words in said:
            return NotTaken(True, code, said)
    if any(words in said for words in _LATER):
        return NotTaken(False, "engine_busy", said)
    return NotTaken(True, "engine_refused", said)
