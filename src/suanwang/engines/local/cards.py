"""The cards of this machine: which there are, which a job gets, and how it is told."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from suanwang.core.jobspec import WHOLE_CARD, JobSpec
from suanwang.engines.port import Accelerators


@dataclass(frozen=True)
class Cards:
    """Cards of one model. A job holds whole cards, and nobody else the same."""

    model: str = ""
    numbers: tuple[int, ...] = ()
    """As the machine counts them."""
    device: str = ""
    """The file of a card; ``{}`` stands for its number, counted from ``first``."""
    first: int = 0
    shared: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()

    def file_of(self, number: int) -> str:
        return self.device.format(number + self.first)

    @property
    def there(self) -> tuple[int, ...]:
        """Those whose device file is there now: a card that fell off the bus is not offered."""
        return tuple(number for number in self.numbers if _is_device(self.file_of(number)))

    @property
    def offered(self) -> tuple[Accelerators, ...]:
        """As the inventory tells it."""
        return (Accelerators(self.model, len(self.there)),) if self.there else ()

    @property
    def missing(self) -> list[str]:
        """The device files that should be there and are not."""
        there = self.there
        return [self.file_of(number) for number in self.numbers if number not in there]

    def refuse(self, spec: JobSpec) -> str | None:
        """What speaks against a job for good, in plain words."""
        if not spec.accelerators:
            return None
        if spec.accelerators > len(self.there):
            return "no node has so many cards"
        if spec.accelerator_model not in (None, self.model):
            return "no card of this model here"
        return "cards are given out whole here" if spec.card_milli != WHOLE_CARD else None

    def free(self, taken: Collection[int]) -> list[int]:
        return [number for number in self.there if number not in taken]

    def devices(self, held: Sequence[int]) -> list[str]:
        """The device files of a job that holds these cards."""
        if not held:
            return []
        shared = [path for path in self.shared if _is_device(path)]
        return [self.file_of(number) for number in held] + shared

    def told(self, held: Sequence[int], *, boxed: bool) -> dict[str, str]:
        """The variables that name a job's cards; without cards they hide all there are.

        Drivers number the cards a process can open from 0, as Slurm's gres.conf says of
        ``ConstrainDevices``: so in a box, where the others are not there, a job's cards are 0, 1
        and so on, and outside they go by the machine's own numbers.
        """
        shown = range(len(held)) if boxed else held
        return {name: ",".join(map(str, shown)) for name in self.environment}


NO_CARDS: Final = Cards()


def vendor(name: str) -> Mapping[str, Any]:
    """What the table says of a maker. Raises ``KeyError``."""
    found: Mapping[str, Any] = vendors()[name]
    return found


@cache
def vendors() -> Mapping[str, Any]:
    table: Mapping[str, Any] = yaml.safe_load(
        files("suanwang.engines.local").joinpath("vendors.yaml").read_text(encoding="utf-8")
    )
    return table


def seen() -> Iterator[tuple[str, int]]:
    """Makers whose cards this machine has device files of, and how many."""
    for name, one in vendors().items():
        first = one.get("first", 0)
        wanted = [one["card"].format(first + number) for number in range(64)]
        # A render node alone may be any graphics card: the maker's own file must be there too.
        if any(_is_device(path) for path in one["shared"]):
            count = sum(_is_device(path) for path in wanted)
            if count:
                yield name, count


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False
