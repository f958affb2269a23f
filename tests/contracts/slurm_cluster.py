"""A real Slurm on loopback: controller, nodes, accounting on MariaDB, and slurmrestd with JWT.

Nothing is installed here: ``suanwang test`` does that. All state is below one new folder that
every user may enter, all ports are free ones, and everything is ended by its own process id.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from suanwang.engines.local.processes import die_with_parent

PROGRAMS = (
    "munged", "slurmctld", "slurmd", "slurmdbd", "slurmrestd",
    "sbatch", "sacct", "mariadbd", "mariadb-install-db",
)  # fmt: skip
JOB_USER = "daemon"
"""Whom the jobs belong to. Every Debian has it, and it can do nothing."""
REST_USER = "nobody"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_GROUPS = Path("/sys/fs/cgroup")


def why_no_slurm() -> str | None:
    """What is missing here for a Slurm of our own; None if nothing is."""
    if os.geteuid() != 0:
        return "a Slurm of several users can be started by root only"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class SlurmCluster:
    """Three nodes on this machine: the first with two a100, the second with two h20."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sw-slurm-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        # In its names too it is alone on this machine: control groups are called by them.
        self.nodes = [f"n{os.getpid()}x{number}" for number in (1, 2, 3)]
        names = ["ctld", "dbd", "rest", "sql", *self.nodes]
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self.conf = self.folder / "etc" / "slurm.conf"
        self.token_file = self.folder / "etc" / "token"
        self.url = f"http://127.0.0.1:{self.ports['rest']}"
        self.rest_socket = self.folder / "rest" / "sock"
        self.groups = (_GROUPS / "memory").is_dir() and os.access(_GROUPS / "memory", os.W_OK)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._first_job_id = 1

    # -- the whole ------------------------------------------------------------------

    def start(self) -> None:
        for name in ("etc", "log", "munge", "gpu"):
            (self.folder / name).mkdir()
        for name, owner in (("state", "slurm"), ("sql", "mysql")):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, owner, owner)
        self._make_devices()
        self._write_configuration()
        self.start_munge()
        self.start_database()
        self.start_accounting()
        self.sacctmgr("add", "cluster", "city")
        self.sacctmgr("add", "account", "lab", "Description=lab", "Organization=lab")
        self.sacctmgr("add", "qos", "gentle")
        self.sacctmgr("add", "user", JOB_USER, "Account=lab", "QOS=normal,gentle")
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.start_rest()
        self.token_file.touch(0o600)
        self.token_file.write_text(self.token())
        wait_until(lambda: self.idle_nodes() == set(self.nodes), "all nodes are idle")

    def stop(self) -> None:
        for name in [*reversed(self._running)]:
            self.end(name)
        for controller in _GROUPS.iterdir() if self.groups else ():
            for node in self.nodes:
                _remove_group(controller / f"slurm_{node}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self, name: str, *, kill: bool = False) -> None:
        """End one of the processes started here, and wait until it has gone."""
        process = self._running.pop(name)
        process.kill() if kill else process.terminate()
        try:
            process.wait(60 if name == "slurmctld" else 15)  # it saves what it knows of jobs
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # -- its parts -------------------------------------------------------------------

    def wait_for_accounting(self, name: str) -> None:
        """Until accounting, which is told a little later, has the end of a job."""
        words = ("sacct", "-n", "-X", "-S", "now-1days", f"--name={name}", "-o", "State")
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
        wait_until(lambda: self.run(*words).strip().startswith(ends), f"accounting has {name}")

    def start_munge(self) -> None:
        key = self.folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        place = self.folder / "munge"
        self._spawn(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}/sock",
            f"--pid-file={place}/pid", f"--log-file={place}/log", f"--seed-file={place}/seed",
        )  # fmt: skip
        wait_until((place / "sock").exists, "munge answers")

    def start_database(self) -> None:
        data = self.folder / "sql" / "data"
        if not data.exists():
            self.run(
                "mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}",
                "--auth-root-authentication-method=socket", "--skip-test-db",
            )  # fmt: skip
        sock = self.folder / "sql" / "sock"
        self._spawn(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={sock}",
            "--bind-address=127.0.0.1", f"--port={self.ports['sql']}",
            f"--pid-file={self.folder}/sql/pid", "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2", user="mysql",
        )  # fmt: skip
        wait_until(lambda: _answers(self.ports["sql"]), "the database answers")
        self.sql(
            "CREATE USER IF NOT EXISTS 'slurm'@'localhost' IDENTIFIED BY 'slurm'; "
            "GRANT ALL ON slurm.* TO 'slurm'@'localhost'; "
        )

    def sql(self, statements: str) -> None:
        """Change the accounting behind Slurm's back."""
        self.run("mariadb", "--no-defaults", "-S", f"{self.folder}/sql/sock", "-e", statements)

    def start_accounting(self) -> None:
        self._spawn("slurmdbd", "-D", user="slurm")
        wait_until(lambda: _answers(self.ports["dbd"]), "accounting answers")

    def start_controller(self, *, forgetful: bool = False, killed: bool = False) -> None:
        """Forgetful: without what it knew of jobs, as after the loss of its state. Killed: without
        the last seconds, whose ids it would give out again, and then drain the nodes for it.
        """
        if forgetful or killed:
            self._first_job_id += 10_000  # ids are not given out twice
            self._write_configuration()
        self._spawn("slurmctld", "-D", *(["-c"] if forgetful else []), user="slurm")
        wait_until(lambda: self._says("scontrol", "ping"), "the controller answers")
        if forgetful:
            wait_until(lambda: self.idle_nodes() == set(self.nodes), "all nodes are idle")

    def start_node(self, node: str) -> None:
        (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
        self._spawn("slurmd", "-D", "-N", node, name=node)

    def start_rest(self) -> None:
        place = self.rest_socket.parent
        place.mkdir(exist_ok=True)
        shutil.chown(place, REST_USER)
        self._spawn(
            "slurmrestd", "-f", str(self.conf), "-a", "rest_auth/jwt", "-t", "4",
            f"127.0.0.1:{self.ports['rest']}", f"unix:{self.rest_socket}",
            user=REST_USER, environment={"SLURM_JWT": "daemon"},
        )  # fmt: skip
        wait_until(lambda: _answers(self.ports["rest"]), "slurmrestd answers")

    # -- talking to it -----------------------------------------------------------------

    def token(self, seconds: int = 7200) -> str:
        said = self.run("scontrol", "token", f"username={JOB_USER}", f"lifespan={seconds}")
        return said.strip().removeprefix("SLURM_JWT=")

    def idle_nodes(self) -> set[str]:
        try:
            lines = self.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
            return {node for node, state in map(str.split, lines) if state == "idle"}
        except subprocess.CalledProcessError:
            return set()

    def sacctmgr(self, *words: str) -> str:
        return self.run("sacctmgr", "--immediate", *words)

    def scontrol(self, *words: str) -> str:
        return self.run("scontrol", *words)

    def run(self, program: str, *words: str) -> str:
        """Run a command as root; what it says. Raises ``CalledProcessError``."""
        done = subprocess.run(
            [program, *words], env=self._environment(), cwd="/", capture_output=True,
            text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    def _says(self, *words: str) -> bool:
        with suppress(subprocess.CalledProcessError):
            return " UP" in self.run(*words).replace("is UP", " UP")
        return False

    def _environment(self) -> dict[str, str]:
        return {"PATH": _PATH, "LANG": "C.UTF-8", "SLURM_CONF": str(self.conf)}

    def _spawn(
        self,
        program: str,
        *words: str,
        name: str | None = None,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        account = pwd.getpwnam(user) if user is not None else None
        with (self.folder / "log" / f"{name or program}.log").open("ab") as log:
            self._running[name or program] = subprocess.Popen(
                [program, *words],
                env=self._environment() | dict(environment or {}),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=account.pw_uid if account is not None else None,
                group=account.pw_gid if account is not None else None,
                extra_groups=[] if account is not None else None,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - also where a test run is killed
            )

    # -- its files ------------------------------------------------------------------------

    def _make_devices(self) -> None:
        """Copies of /dev/null in place of cards: jobs then get CUDA_VISIBLE_DEVICES."""
        for number in range(4):
            card = self.folder / "gpu" / f"card{number}"
            os.mknod(card, 0o020666, os.makedev(1, 3))
            card.chmod(0o666)

    def _write_configuration(self) -> None:
        etc, sock = self.folder / "etc", self.folder / "munge" / "sock"
        jwt = etc / "jwt.key"
        if not jwt.exists():
            jwt.touch(0o600)
            jwt.write_bytes(secrets.token_bytes(32))
            shutil.chown(jwt, "slurm", "slurm")
        both = f"""
AuthType=auth/munge
AuthInfo=socket={sock}
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={jwt}
"""
        self.conf.write_text(both + self._slurm_conf(sock))
        dbd = etc / "slurmdbd.conf"
        dbd.touch(0o600)
        dbd.write_text(
            both
            + f"""
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={self.ports["dbd"]}
SlurmUser=slurm
PidFile={self.folder}/state/slurmdbd.pid
LogFile={self.folder}/state/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self.ports["sql"]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
        )
        shutil.chown(dbd, "slurm", "slurm")
        cards = zip(("a100", "h20"), self.nodes, ("[0-1]", "[2-3]"), strict=False)
        (etc / "gres.conf").write_text(
            "".join(
                f"NodeName={node} Name=gpu Type={model} File={self.folder}/gpu/card{which}\n"
                for model, node, which in cards
            )
        )
        (etc / "cgroup.conf").write_text(
            "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainRAMSpace=yes\n"
            "ConstrainSwapSpace=no\nConstrainDevices=no\nConstrainCores=no\n"
        )

    def _slurm_conf(self, sock: Path) -> str:
        host = socket.gethostname().partition(".")[0]
        kind = "cgroup" if self.groups else "linuxproc"
        cards = dict(zip(self.nodes, ("Gres=gpu:a100:2", "Gres=gpu:h20:2", ""), strict=True))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.ports[node]} "
            f"CPUs=8 RealMemory=16000 {cards[node]} State=UNKNOWN"
            for node in self.nodes
        )
        alone = "\n".join(
            f"PartitionName=p{number} Nodes={node} MaxTime=1-0 DefaultTime=10 State=UP"
            for number, node in enumerate(self.nodes)
        )
        return f"""
ClusterName=city
FirstJobId={self._first_job_id}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={self.ports["ctld"]}
SlurmUser=slurm
SlurmdUser=root
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/state/slurmctld.pid
SlurmdPidFile={self.folder}/spool/%n.pid
ProctrackType=proctrack/{kind}
TaskPlugin=task/{"cgroup" if self.groups else "none"}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,bf_continue
PriorityType=priority/multifactor
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
MessageTimeout=30
KillWait=2
UnkillableStepTimeout=20
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={self.ports["dbd"]}
AccountingStoragePass={sock}
AccountingStorageTRES=gres/gpu,gres/gpu:a100,gres/gpu:h20
{nodes}
PartitionName=main Nodes={",".join(self.nodes)} Default=YES MaxTime=1-0 DefaultTime=10 State=UP
PartitionName=urgent Nodes={",".join(self.nodes)} PriorityTier=10 PreemptMode=OFF State=UP
{alone}
"""


def wait_until(what: Callable[[], object], told: str, seconds: float = 30) -> None:
    """Ask again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {told}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _remove_group(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
