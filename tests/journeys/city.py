"""A city of real processes on a database of its own, and a browser that watches itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

from .founding import PASSWORD

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PATIENCE_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class City:
    """Web, worker and dispatcher, each as ``suanwang up`` starts them."""

    address: str
    home: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    def start(self, *arguments: str) -> None:
        log = (self.home / f"{arguments[0]}.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "suanwang.cli", *arguments],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)

    def agent(self, token: str, name: str) -> None:
        """Enrol an agent for this machine with a token read from the page, and start it."""
        place = str(self.home / name)
        self.run(
            *("-m", "suanwang.cli", "agent", "enrol", "--url", self.address),
            *("--token", token, "--home", place),
        )
        self.start(
            *("agent", "run", "--home", place, "--cores", "2", "--memory-mib", "2048"),
            *("--stop-jobs", "--tied-to", str(os.getpid())),
        )

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.address + "/sign-in", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the city did not answer: {self.logs()}")

    def logs(self) -> str:
        return "\n".join(
            f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}"
            for log in sorted(self.home.glob("*.log"))
        )

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def open_city(dsn: str, home: Path) -> City:
    """A new database on the server of the tests, migrated and founded, and its processes."""
    name = "journeys"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "DJANGO_SETTINGS_MODULE": "suanwang.site.django_settings",
        "SUANWANG_DATABASE_URL": psycopg.conninfo.make_conninfo(dsn, dbname=name),
        "SUANWANG_HOME": str(home),
        "SUANWANG_PORT": str(port),
        "SUANWANG_HOST": "127.0.0.1",
    }
    city = City(f"http://127.0.0.1:{port}", home, environment)
    city.run("-m", "django", "migrate", "--verbosity", "0")
    city.run(str(Path(__file__).with_name("founding.py")))
    for role in ("web", "worker", "dispatcher"):
        city.start(role)
    city.wait()
    return city


@dataclass
class Visitor:
    """One person at a browser: speaks one language, notes what a page does that it should not."""

    page: Page
    address: str
    language: str
    wrong: list[str]

    @classmethod
    def arrive(cls, context: BrowserContext, address: str, language: str) -> Visitor:
        context.add_cookies([{"name": "django_language", "value": language, "url": address}])
        visitor = cls(context.new_page(), address, language, [])
        visitor.page.set_default_timeout(15_000)
        visitor.page.on("console", visitor._console)
        visitor.page.on("pageerror", lambda error: visitor.wrong.append(f"script: {error}"))
        visitor.page.on("request", visitor._request)
        visitor.page.on("response", visitor._response)
        return visitor

    def _console(self, message: ConsoleMessage) -> None:
        # A refused form answers 4xx on purpose, which the browser notes as a failed resource.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.wrong.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status}: {response.url}")

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def shot(self, name: str) -> None:
        folder = SCREENSHOTS / ("zh" if self.language.startswith("zh") else "en")
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.png"))) + 1
        self.page.screenshot(path=folder / f"{number:02d}-{name}.png", full_page=True)

    def fill(self, **fields: str) -> None:
        """Fill fields by their names; a choice is chosen by its value."""
        for name, value in fields.items():
            field_ = self.page.locator(f"main [name='{name}']")
            if field_.evaluate("one => one.tagName") == "SELECT":
                field_.select_option(value)
            else:
                field_.fill(value)

    def press(self, action: str, button: str = "") -> None:
        """Send the form of an address, by a named button if it has several."""
        form = f"form[action$='{action}']" if action else "form[method=post]"
        which = f"button[name='{button}']" if button else "button:not([type=button])"
        self.page.locator(f"main {form} {which}").first.click()
        self.page.wait_for_load_state()

    def sign_in(self, username: str, password: str = PASSWORD) -> None:
        self.page.context.clear_cookies(name="sessionid")
        self.go("/sign-in")
        self.fill(username=username, password=password)
        self.press("/sign-in")
        assert self.path == "/overview", self.text("main")

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.address).partition("?")[0]

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def wait_for(self, condition: Any, what: str) -> None:
        """Look again until something holds; real processes take what they take."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if condition():
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(f"waited in vain for: {what}\n{self.text('main')}")
