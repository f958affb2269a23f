"""Whose city this is: read from the divisions, so that no place is named in code."""

from __future__ import annotations

from suanwang.console.language import pick
from suanwang.registry.models import Division


def city_name() -> str:
    """The city the county-level units belong to; empty before any division is loaded."""
    city = Division.objects.filter(code__endswith="00").order_by("code").first()
    if city is None:
        return ""
    # The funding table may note the level behind the name; a headline needs the name alone.
    return pick(city.name, city.name_en.partition(" (")[0])
