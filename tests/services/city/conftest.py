"""Cities for tests. The first start is paid once; every test gets a copy of its home."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import City


@pytest.fixture(scope="session")
def founded() -> Iterator[Path]:
    """The home of a city that was started once and stopped."""
    folder = Path(tempfile.mkdtemp(prefix="sw-city-"))
    folder.chmod(0o711)
    city = City(folder / "home")
    try:
        city.up()
        city.down()
        yield city.home
    finally:
        city.kill_everything()
        shutil.rmtree(folder)


@pytest.fixture
def new_city(founded: Path) -> Iterator[Callable[[], City]]:
    """Makes cities that were founded already and do not run."""
    folder = Path(tempfile.mkdtemp(prefix="sw-city-"))
    folder.chmod(0o711)
    made: list[City] = []

    def make() -> City:
        home = folder / str(len(made))
        subprocess.run(["cp", "-a", founded, home], check=True)
        made.append(City(home))
        return made[-1]

    yield make
    for city in made:
        city.kill_everything()
    shutil.rmtree(folder)


@pytest.fixture
def city(new_city: Callable[[], City]) -> City:
    return new_city()
