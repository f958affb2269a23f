"""A city starts, comes back after any kill -9, and leaves nothing behind. Real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable

from running import City, wait_until


def test_up_opens_a_city_and_down_leaves_no_process_socket_or_lock(city: City) -> None:
    said = city.up()
    assert city.address in said
    assert city.answer("/healthz") == 200
    assert city.answer("/readyz") == 200
    assert city.answer("/") == 200
    told = city.status()
    assert told["running"]
    assert told["address"] == city.address
    assert {"postgres", "web", "worker"} <= {process["name"] for process in told["processes"]}
    assert all(process["memory_mib"] > 0 for process in told["processes"])
    city.down()
    assert city.processes() == []
    assert city.leftovers() == []
    assert city.run("status").returncode == 3


def test_the_idle_city_stays_within_600_mib(city: City) -> None:
    city.up()
    assert city.status()["memory_mib"] <= 600
    city.down()


def test_every_process_comes_back_after_kill_9(city: City) -> None:
    city.up()
    before = city.pids()
    children = [name for name in before if name != "supervisor"]
    for name in children:
        os.kill(before[name], signal.SIGKILL)
        wait_until(lambda n=name: city.pids()[n] not in {None, before[n]}, f"{name} is back")
    wait_until(lambda: city.answer("/readyz") == 200, "pages again")
    assert city.pids()["supervisor"] == before["supervisor"]
    log = (city.home / "logs" / "supervisor.log").read_text()
    assert all(f"{name} ended" in log for name in children)
    city.down()


def test_kill_9_of_the_supervisor_leaves_no_orphan_and_the_next_up_works(city: City) -> None:
    city.up()
    os.kill(city.pids()["supervisor"], signal.SIGKILL)
    wait_until(lambda: not city.processes(), "no orphan")
    assert not city.status()["running"]
    city.up()
    assert city.answer("/readyz") == 200
    city.down()


def test_kill_9_of_everything_at_once_loses_nothing_needed_to_start(city: City) -> None:
    city.up()
    city.kill_everything()
    city.up()
    assert city.answer("/readyz") == 200
    city.down()


def test_ctrl_c_stops_everything_in_order(city: City) -> None:
    process = subprocess.Popen(
        city.command("up", "--no-demo"),
        env=city.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if city.address in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest.split("\n")[:2] == ["stopping", "stopped"]
    assert city.processes() == []
    assert city.leftovers() == []


def test_two_cities_live_side_by_side(new_city: Callable[[], City]) -> None:
    one, other = new_city(), new_city()
    one.up()
    other.up()
    assert one.answer("/readyz") == other.answer("/readyz") == 200
    one.down()
    assert other.answer("/readyz") == 200
    other.down()


def test_one_home_has_one_city(city: City) -> None:
    city.up()
    second = city.run("up", "--detach", "--no-demo")
    assert second.returncode == 1
    assert "runs already" in second.stdout + second.stderr
    assert city.answer("/readyz") == 200
    city.down()


def test_a_taken_port_is_named_with_a_way_out(city: City) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", city.port))
        taken.listen()
        done = city.run("up", "--no-demo")
    assert done.returncode == 1
    assert f"port {city.port}" in done.stderr
    assert "--port" in done.stderr
    assert city.processes() == []
