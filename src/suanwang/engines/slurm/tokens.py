"""The JWT that slurmrestd asks for: from a file, or made by ``scontrol token`` and made anew."""

from __future__ import annotations

import base64
import binascii
import json
import time

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.account import Account, clean_environment
from suanwang.engines.slurm.settings import SlurmSettings

_LIFESPAN_SECONDS = 3600
_TOKEN_BYTES_MAX = 16 << 10


class Tokens:
    """Hands out a token that is still good for a while."""

    def __init__(self, settings: SlurmSettings, account: Account) -> None:
        self._settings = settings
        self._account = account
        self._token = ""
        self._good_until = 0.0

    def get(self) -> str:
        if self._settings.token_file is not None:
            return self._read()
        if time.time() >= self._good_until:
            self._make()
        return self._token

    def drop(self) -> None:
        """It was not taken: make another one next time."""
        self._good_until = 0.0

    def _read(self) -> str:
        path = self._settings.token_file
        try:
            with open(str(path), "rb") as file:  # noqa: PTH123 - bounded
                text = file.read(_TOKEN_BYTES_MAX)
        except OSError as error:
            raise EngineUnavailable(f"the token cannot be read: {error}") from None
        return _plain(text)

    def _make(self) -> None:
        done = self._account.run(
            ["scontrol", "token", f"lifespan={_LIFESPAN_SECONDS}"],
            clean_environment(self._settings),
            seconds=self._settings.timeout_seconds,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise EngineUnavailable(f"scontrol token: {said[:200]}")
        self._token = _plain(done.stdout)
        self._good_until = min(_expiry(self._token), time.time() + _LIFESPAN_SECONDS) - 300


def _plain(text: bytes) -> str:
    token = text.decode(errors="replace").strip().removeprefix("SLURM_JWT=")
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise EngineUnavailable("what should be a token is none")
    return token


def _expiry(token: str) -> float:
    """When a token ends, as it says itself; the server checks, we only plan by it."""
    try:
        payload = token.split(".")[1]
        facts = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(facts["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
