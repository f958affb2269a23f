"""Prices: set once, valid for a period, never changed."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from suanwang.core.errors import Refused
from suanwang.people.scope import Viewer
from suanwang.people.services import record
from suanwang.registry.models import AcceleratorModel, DataCentre, Price
from suanwang.registry.rules import price_possible
from suanwang.registry.services.centres import own


@transaction.atomic
def set_price(
    centre: DataCentre,
    meter: str,
    *,
    price_fen: int,
    per_quantity: int,
    starts: datetime,
    ends: datetime | None = None,
    accelerator_model: str | None = None,
    actor: Viewer,
    at: datetime,
) -> Price:
    """Set what a meter costs from ``starts`` on: ``price_fen`` per ``per_quantity`` base units.

    An earlier price without an end is ended where this one begins; nothing else is touched, and
    nothing in the past can be: what was used is charged at the price that was valid then.

    Refuses ``centre_of_another``, ``meter_unknown``, ``price_impossible``, ``price_in_the_past``,
    ``price_period_wrong``, ``price_needs_a_model``, ``accelerator_unknown``, ``price_overlaps``.
    """
    own(centre, actor, "prices.set")
    if meter not in Price.Meter.values:
        raise Refused("meter_unknown", meter=meter[:20])
    if not price_possible(price_fen, per_quantity):
        raise Refused("price_impossible", price_fen=price_fen, per_quantity=per_quantity)
    if starts < at:
        raise Refused("price_in_the_past", starts=starts.isoformat())
    if ends is not None and ends <= starts:
        raise Refused("price_period_wrong", starts=starts.isoformat(), ends=ends.isoformat())
    if (meter == Price.Meter.CARD_SECONDS) != (accelerator_model is not None):
        raise Refused("price_needs_a_model", meter=meter)
    if (
        accelerator_model is not None
        and not AcceleratorModel.objects.filter(code=accelerator_model).exists()
    ):
        raise Refused("accelerator_unknown", model=accelerator_model[:80])
    # One at a time per centre, so that two setters see each other's periods.
    DataCentre.objects.select_for_update(no_key=True).get(pk=centre.pk)
    same = Price.objects.filter(
        centre=centre, meter=meter, accelerator_model_id=accelerator_model
    ).select_for_update()
    open_end = same.filter(validity__upper_inf=True, validity__startswith__lt=starts).first()
    if open_end is not None:
        open_end.validity = DateTimeTZRange(open_end.validity.lower, starts)
        open_end.save(update_fields=["validity"])
    period = DateTimeTZRange(starts, ends)
    if (other := same.filter(validity__overlap=period).first()) is not None:
        until = other.validity.upper
        raise Refused(
            "price_overlaps",
            starts=other.validity.lower.isoformat(),
            ends=until.isoformat() if until else "…",
        )
    price = Price.objects.create(
        centre=centre,
        meter=meter,
        accelerator_model_id=accelerator_model,
        price_fen=price_fen,
        per_quantity=per_quantity,
        validity=period,
        set_by=actor.person,
        created_at=at,
    )
    record(
        actor,
        "prices.set",
        subject=price,
        concerns=centre.provider,
        at=at,
        centre=centre.code,
        meter=meter,
        model=accelerator_model or "",
        price_fen=price_fen,
        per_quantity=per_quantity,
        starts=starts.isoformat(),
    )
    return price
