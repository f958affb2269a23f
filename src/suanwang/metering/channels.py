"""The port to whoever moves the money, and a simulated one for the demo and for tests.

The platform never holds money: a channel takes the user to its own page and later says whether
the payment arrived. A real one (a bank's, UnionPay's) implements the same two calls.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True)
class Confirmed:
    """The channel says the money arrived: how much, and on which day."""

    amount_fen: int
    paid_on: date


@dataclass(frozen=True)
class Failed:
    """The channel says it will not arrive."""

    reason: str


class PaymentChannel(Protocol):
    """What the platform asks of a payment channel. Neither call happens in a transaction."""

    def reference(self) -> str:
        """A new reference the channel will know the payment by."""
        ...

    def outcome(self, reference: str, amount_fen: int, *, today: date) -> Confirmed | Failed | None:
        """How the payment ended; None while it has not."""
        ...


class SimulatedChannel:
    """Confirms every payment in full at the first question. Moves no money at all."""

    def reference(self) -> str:
        return f"SIM-{uuid.uuid4().hex[:20].upper()}"

    def outcome(self, reference: str, amount_fen: int, *, today: date) -> Confirmed | Failed | None:
        return Confirmed(amount_fen, today)


CHANNELS: dict[str, PaymentChannel] = {"simulated": SimulatedChannel()}
