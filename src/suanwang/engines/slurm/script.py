"""The batch script that stands around a job's own script on the node.

Slurm counts walltimes in minutes; this keeps the second. It hands the environment over from a
file, so that no shell ever reads it, passes a wish to end on to the whole job, and lets a job that
was already begun under another Slurm job id not begin again. Bash alone: nodes have nothing of
ours.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from suanwang.core.jobspec import JobSpec
from suanwang.engines.slurm.account import CLEAN_PATH

BEGUN, EXIT, WALLTIME, GRACE = "begun", "exit", "walltime", "grace"
NO_PLACE, BEGUN_BEFORE = 74, 75
"""What the script itself exits with; then there is no ``exit``."""
WALLTIME_GRACE_SECONDS: Final = 5

_WRAPPER: Final = r"""#!/bin/bash
# Around an attempt of the city's. begun: by which Slurm job; walltime, exit: how it ended.
place=@PLACE@
if [ ! -f "$place/script" ]; then
  echo "this node does not have $place: is that file system shared?" >&2
  exit @NO_PLACE@
fi
if ! { : >> "$place/stdout" && : >> "$place/stderr"; }; then
  echo "nothing can be written to $place: is its disk full?" >&2
  exit @NO_PLACE@
fi
ln -s "$SLURM_JOB_ID" "$place/begun" 2>/dev/null
began_by=$(readlink "$place/begun")
if [ "$began_by" != "$SLURM_JOB_ID" ] || [ "${SLURM_RESTART_COUNT:-0}" -gt @RESTARTS_MAX@ ]; then
  echo "not begun again: the Slurm job $began_by already did" >&2
  exit @BEGUN_BEFORE@
fi
rm -f "$place/walltime" "$place/exit"
mkdir -p -m 700 "$place/work"
end_within() { # ask the whole job to end, and make it end after so many seconds
  kill -TERM -- "-$job" 2>/dev/null
  sleep "$1"
  kill -KILL -- "-$job" 2>/dev/null
}
asked= ender=
trap asked=yes TERM
set -m # what is started now is a process group each
(
  set +m
  trap - TERM
  cd "$place/work" || exit 126
  while IFS= read -r -d '' pair; do
    command export "$pair"
  done < "$place/environment"
  exec @COMMAND@
) < /dev/null > "$place/stdout" 2> "$place/stderr" &
job=$!
(
  sleep @WALLTIME@
  : > "$place/walltime"
  end_within @WALLTIME_GRACE@
) < /dev/null > /dev/null 2>&1 &
clock=$!
set +m
while
  if [ -n "$asked" ] && [ -z "$ender" ]; then
    set -m
    end_within "$(cat "$place/grace" 2>/dev/null || echo 86400)" < /dev/null > /dev/null 2>&1 &
    ender=$!
    set +m
  fi
  wait "$job"
  code=$?
  [ -n "$asked" ] && kill -0 "$job" 2>/dev/null
do :; done
kill -KILL -- "-$clock" "-$job" ${ender:+"-$ender"} 2>/dev/null
echo "$code" > "$place/exit.new" && mv "$place/exit.new" "$place/exit"
exit "$code"
"""


def batch_script(place: str, spec: JobSpec, *, requeue: bool) -> str:
    """The text that is handed to Slurm. Nothing of the job's own is in it but its folder's name."""
    script = shlex.quote(f"{place}/script")
    words = {
        "@PLACE@": shlex.quote(place),
        "@RESTARTS_MAX@": "1000000" if requeue else "0",
        "@COMMAND@": script if spec.script.startswith("#!") else f"/bin/bash {script}",
        "@NO_PLACE@": str(NO_PLACE),
        "@BEGUN_BEFORE@": str(BEGUN_BEFORE),
        "@WALLTIME@": str(spec.walltime_seconds),
        "@WALLTIME_GRACE@": str(WALLTIME_GRACE_SECONDS),
    }
    text = _WRAPPER
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def environment_file(pairs: Mapping[str, str]) -> bytes:
    """``NAME=value`` ended by NUL, which no value can hold."""
    return b"".join(f"{name}={value}".encode() + b"\0" for name, value in pairs.items())


def job_environment(key: str, spec: JobSpec, *, home: str, user: str) -> dict[str, str]:
    """Beside what Slurm sets on the node. The job may override the first part, not the last."""
    usual = {
        "PATH": CLEAN_PATH,
        "LANG": "C.UTF-8",
        "HOME": home,
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "OMP_NUM_THREADS": str(spec.per_node[0]),
    }
    ours = {
        "SUANWANG_ATTEMPT": key,
        "SUANWANG_JOB_NAME": spec.name,
        "SUANWANG_CORES": str(spec.cores),
        "SUANWANG_MEMORY_MIB": str(spec.memory_mib),
        "SUANWANG_NODES": str(spec.nodes),
    }
    return usual | spec.environment | ours
