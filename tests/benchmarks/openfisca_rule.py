"""The bare arithmetic of the voucher rule as OpenFisca writes it, for comparison only.

Imported by ``bench_policy`` where OpenFisca is installed; see there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openfisca_core.entities import Entity
from openfisca_core.periods import DateUnit
from openfisca_core.simulation_builder import SimulationBuilder
from openfisca_core.taxbenefitsystems import TaxBenefitSystem
from openfisca_core.variables import Variable

YEAR = "2026"
Unit = Entity("unit", "units", "A unit", "")


def _variable(name: str, **more: Any) -> type[Any]:
    return type(
        name,
        (Variable,),
        {"value_type": float, "entity": Unit, "definition_period": DateUnit.YEAR, **more},
    )


def _award(units: Any, period: Any) -> Any:
    half = units("fee", period) * 0.5
    cap = 100_000_000 - units("used", period)
    return np.maximum(0, np.minimum(np.minimum(half, cap), units("left", period)))


class Rule:
    """The system with its four variables."""

    def __init__(self) -> None:
        self.system = TaxBenefitSystem([Unit])
        for name in ("fee", "used", "left"):
            self.system.add_variable(_variable(name))
        self.system.add_variable(_variable("award", formula=_award))

    def award(self, fee: Any, used: Any, left: Any) -> Any:
        """Build a simulation of so many units and calculate the award of each."""
        simulation = SimulationBuilder().build_default_simulation(self.system, count=len(fee))
        for name, column in (("fee", fee), ("used", used), ("left", left)):
            simulation.set_input(name, YEAR, column)
        return simulation.calculate("award", YEAR)
