"""Another city from the one there is: a centre more, one that fails, another price."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from suanwang.core.errors import Refused
from suanwang.placement.simulator.city import Centre, City, Event, Exact, Prices

_EXACT: TypeAdapter[Fraction] = TypeAdapter(Exact)
CHARACTERS_MAX = 1 << 20


def with_centre(city: City, text: str) -> City:
    """A centre more, or several: a document of ``centres``, and ``cards`` the city lacks.

    Refuses ``what_if_unreadable``.
    """
    try:
        if len(text) > CHARACTERS_MAX or "&" in text:
            raise ValueError("too large, or with aliases")
        told: Any = yaml.safe_load(text)
        if not isinstance(told, Mapping) or not isinstance(told.get("centres"), Mapping):
            raise ValueError("centres are missing")  # noqa: TRY004 - told below
        document = city.model_dump()
        new = City.model_validate(
            {
                "suanwang_city": 1,
                "starts_at": city.starts_at,
                "cards": {**document["cards"], **(told.get("cards") or {})},
                "centres": told["centres"],
            }
        )
    except (ValidationError, ValueError, TypeError, RecursionError, yaml.YAMLError) as wrong:
        raise Refused("what_if_unreadable", told=str(wrong).splitlines()[0][:120]) from None
    if both := sorted(new.centres.keys() & city.centres.keys()):
        raise Refused("what_if_unreadable", told=f"{both[0]} is there already")
    return city.model_copy(update={"cards": new.cards, "centres": {**city.centres, **new.centres}})


def with_failure(city: City, told: str) -> City:
    """``CENTRE`` or ``CENTRE@HOUR``: it goes down for good. Refuses ``what_if_unreadable``."""
    code, at_sign, hour = told.partition("@")
    if at_sign and not (hour.isascii() and hour.isdigit() and len(hour) <= 5):
        raise Refused("what_if_unreadable", told=told[:120])
    _known(city, code)
    seconds = int(hour or 0) * 3_600
    event = Event(at=seconds, what="fail", centre=code)
    return city.model_copy(update={"events": [*city.events, event]})


def with_price(city: City, told: str) -> City:
    """``CENTRE.core=FEN``, ``CENTRE.gib=FEN`` or ``CENTRE.MODEL=FEN``, an hour.

    Refuses ``what_if_unreadable``.
    """
    name, sign, value = told.partition("=")
    code, dot, meter = name.partition(".")
    try:
        fen = _EXACT.validate_python(value)
    except ValidationError:
        raise Refused("what_if_unreadable", told=told[:120]) from None
    if not sign or not dot or fen < 0:
        raise Refused("what_if_unreadable", told=told[:120])
    _known(city, code)
    centre = city.centres[code]
    prices = _priced(centre.prices, meter, fen, {n.card for n in centre.nodes if n.card}, told)
    changed: Centre = centre.model_copy(update={"prices": prices})
    return city.model_copy(update={"centres": {**city.centres, code: changed}})


def _priced(prices: Prices, meter: str, fen: Fraction, models: set[str], told: str) -> Prices:
    if meter == "core":
        return prices.model_copy(update={"core_hour_fen": fen})
    if meter == "gib":
        return prices.model_copy(update={"gib_hour_fen": fen})
    if meter not in models:
        raise Refused("what_if_unreadable", told=told[:120])
    return prices.model_copy(update={"card_hour_fen": {**prices.card_hour_fen, meter: fen}})


def _known(city: City, code: str) -> None:
    if code not in city.centres:
        raise Refused("city_centre_unknown", centre=code[:80])
