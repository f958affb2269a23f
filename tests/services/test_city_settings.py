"""``suanwang check`` names what is wrong with the settings; logs keep secrets to themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suanwang.site import logs

SOURCE = Path(__file__).resolve().parents[2] / "src"


def check(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return suanwang("check", home, **settings)


def suanwang(command: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("SUANWANG_")}
    environment.pop("DATABASE_URL", None)
    environment |= {"SUANWANG_HOME": str(home), "PYTHONPATH": str(SOURCE)} | settings
    return subprocess.run(
        [sys.executable, "-P", "-m", "suanwang.cli", command],
        capture_output=True, text=True, check=False, env=environment, cwd=home,
    )  # fmt: skip


def test_a_development_city_needs_nothing_set(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout


def test_production_asks_for_a_key_and_the_citys_names(tmp_path: Path) -> None:
    done = check(tmp_path, SUANWANG_ENV="production")
    assert done.returncode == 1
    assert "FIX   SUANWANG_SECRET_KEY: must be set" in done.stdout
    assert "FIX   SUANWANG_ALLOWED_HOSTS" in done.stdout


def test_production_refuses_the_development_key(tmp_path: Path) -> None:
    key = tmp_path / "keys" / "secret_key"
    key.parent.mkdir()
    key.write_text("d" * 48)
    done = check(tmp_path, SUANWANG_ENV="production", SUANWANG_SECRET_KEY="d" * 48)
    assert "SUANWANG_SECRET_KEY: is the development key" in done.stdout
    assert "d" * 48 not in done.stdout


def test_a_sound_production_passes(tmp_path: Path) -> None:
    done = check(
        tmp_path,
        SUANWANG_ENV="production",
        SUANWANG_SECRET_KEY="k" * 48,
        SUANWANG_ALLOWED_HOSTS='["city.example"]',
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUANWANG_PORT", "99999"),
        ("SUANWANG_ENV", "staging"),
        ("SUANWANG_SECRET_KEY", "short"),
        ("SUANWANG_POLICY", "atlantis-1"),
        ("SUANWANG_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    done = check(tmp_path, **{name: value})
    assert done.returncode == 1
    assert f"FIX   {name}" in done.stdout
    assert "Traceback" not in done.stderr


def test_logs_show_no_secret() -> None:
    event = {
        "event": "connected to postgresql://city:hunter2@db/city with Bearer abc.def",
        "password": "hunter2",
        "Authorization": "Basic aGk=",
        "note": "key sw_ab12_S3cr3tS3cr3t was used",
    }
    shown = json.dumps(dict(logs.hide_secrets(None, "info", event)))
    for secret in ("hunter2", "aGk=", "S3cr3t", "abc.def"):
        assert secret not in shown
    assert "sw_ab12_" in shown


def test_a_log_that_grew_too_large_is_put_aside_and_writers_go_on(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        for turn in range(5):
            writer.write(f"turn {turn}\n".encode() * 100)
            assert logs.turn_over(tmp_path, largest_bytes=500) == [log]
            assert log.stat().st_size == 0
        writer.write(b"last\n")
    assert log.read_text() == "last\n"
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["web.log", "web.log.1", "web.log.2", "web.log.3"]
    assert (tmp_path / "web.log.1").read_text().startswith("turn 4")


@pytest.mark.parametrize("command", ["up", "web", "worker", "dispatcher", "prepare"])
def test_no_process_of_a_production_city_starts_without_its_key(
    tmp_path: Path, command: str
) -> None:
    done = suanwang(command, tmp_path, SUANWANG_ENV="production")
    assert done.returncode == 1
    assert "SUANWANG_SECRET_KEY: must be set" in done.stderr
    assert list(tmp_path.iterdir()) == []
