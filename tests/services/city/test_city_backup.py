"""What a backup holds is what a restore gives back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql
from running import City

from suanwang.site.postgres import embedded_dsn


def test_a_restored_city_is_the_one_backed_up(new_city: Callable[[], City], tmp_path: Path) -> None:
    city = new_city()
    city.up()
    file = tmp_path / "city.backup"
    done = city.run("backup", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    rows = counted(city)
    keys = (city.home / "keys" / "secret_key").read_bytes()
    city.down()

    other = City(city.home.with_name("restored"))
    done = other.run("restore", str(file))
    assert done.returncode == 0, done.stderr
    try:
        other.up()
        assert other.answer("/readyz") == 200
        assert counted(other) == rows
        assert (other.home / "keys" / "secret_key").read_bytes() == keys
        again = other.run("backup", str(file))
        assert again.returncode == 1
        assert "overwrites nothing" in again.stderr
        other.down()
        filled = other.run("restore", str(file))
        assert filled.returncode == 1
        assert "not empty" in filled.stderr
    finally:
        other.kill_everything()


def test_a_file_that_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    city = City(tmp_path / "home")
    broken = tmp_path / "broken"
    broken.write_bytes(b"no tar at all")
    assert "is not a backup" in city.run("restore", str(broken)).stderr
    escaping = tmp_path / "escaping"
    with tarfile.open(escaping, "w") as tar:
        entry = tarfile.TarInfo("keys/../../outside")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    assert "which no backup does" in city.run("restore", str(escaping)).stderr
    assert not (tmp_path / "outside").exists()
    assert not (city.home / "postgres").exists()


def counted(city: City) -> dict[str, int]:
    """How many rows each table of the city's rooms has."""
    with psycopg.connect(embedded_dsn(city.home)) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename ~ '^(people|registry|ledger|jobs|metering|vouchers|programmes)_' "
            "AND tablename <> 'jobs_agentnonce'"  # grows with every word of the agent
        ).fetchall()
        counts = {}
        for (name,) in names:
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            ).fetchone()
            counts[name] = row[0] if row else 0
        return counts
