"""Where, when and how a job wishes to run: fields of the job form beside amounts and time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.words import COMPUTE, DOMESTIC, PRIORITIES, SPREADS, TIERS
from suanwang.core.clock import CITY_ZONE
from suanwang.core.jobspec import WHOLE_CARD
from suanwang.core.money import format_yuan, parse_yuan
from suanwang.registry.models import DataCentre

_WHEN: Final = {"type": "datetime-local"}
_FIELDS: Final[Mapping[str, str]] = {
    "walltime_seconds": "walltime",
    "where.tiers": "tiers",
    "where.kinds": "kinds",
    "where.near": "near",
    "where.latency_us_max": "latency_ms",
    "where.trust_min": "verified",
    "where.voucher_eligible": "voucher_eligible",
    "where.domestic": "domestic",
    "where": "near",
    "card_milli": "card_percent",
    "capability.gflops_min": "card_tflops",
    "capability.memory_mib_min": "card_memory_gib",
    "capability": "card_tflops",
    "price_max_fen": "price_max",
}
"""The form's field for a field of the specification, where their names differ."""


def _number(label: Any, least: int, most: int, placeholder: str = "") -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=least,
        max_value=most,
        widget=forms.NumberInput(attrs={"placeholder": placeholder}),
    )


class WishFields(forms.Form):
    """What is left empty is no wish."""

    tiers = forms.MultipleChoiceField(
        label=_("Tiers that will do"),
        required=False,
        choices=list(TIERS.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    kinds = forms.MultipleChoiceField(
        label=_("Kinds of compute that will do"),
        required=False,
        choices=list(COMPUTE.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    near = forms.ChoiceField(
        label=_("Near"), required=False, help_text=_("By the measured table of links.")
    )
    latency_ms = _number(_("Within (ms)"), 1, 1_000_000)
    domestic = forms.ChoiceField(
        label=_("Domestic cards"), required=False, choices=[("", _("Any")), *DOMESTIC.items()]
    )
    verified = forms.BooleanField(label=_("Only centres the operator verified"), required=False)
    voucher_eligible = forms.BooleanField(label=_("Only where a voucher counts"), required=False)
    price_max = forms.CharField(
        label=_("Price at most (yuan)"),
        required=False,
        max_length=40,
        help_text=_("For the full time; dearer places will not do."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    nodes = _number(_("Nodes"), 1, 10_000, "1")
    spread = forms.ChoiceField(
        label=_("How close"), required=False, choices=[("", _("Usual")), *SPREADS.items()]
    )
    card_percent = _number(_("Of each card (%)"), 1, 100, "100")
    card_tflops = _number(_("TFLOPS of a card, at least"), 1, 1_000_000)
    card_memory_gib = _number(_("Memory of a card (GiB), at least"), 1, 100_000)
    priority = forms.ChoiceField(
        label=_("Priority"), required=False, choices=[("", _("Usual")), *PRIORITIES.items()]
    )
    not_before = forms.DateTimeField(
        label=_("Not before"),
        required=False,
        widget=forms.DateTimeInput(attrs=_WHEN, format="%Y-%m-%dT%H:%M"),
    )
    deadline = forms.DateTimeField(
        label=_("Must have ended by"),
        required=False,
        widget=forms.DateTimeInput(attrs=_WHEN, format="%Y-%m-%dT%H:%M"),
    )
    deferrable = forms.BooleanField(label=_("May wait for green power"), required=False)
    preemptible = forms.BooleanField(
        label=_("May be stopped for others"),
        required=False,
        help_text=_("It gets five minutes to save its work, pays nothing and queues again."),
    )

    def offer_places(self) -> None:
        """Let ``near`` name the centres there are."""
        codes = DataCentre.objects.exclude(status="closed").order_by("code")
        places = [(one.code, one.code) for one in codes]
        field = self.fields["near"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [("", "—"), *places]

    @property
    def wishes_shown(self) -> bool:
        """Whether the section stands open: something in it is filled in or wrong."""
        return any(
            self[name].errors or self[name].value() not in (None, "", [], False)
            for name in WishFields.base_fields
        )


def wished(given: Mapping[str, Any]) -> dict[str, Any]:
    """The wishes of a valid form as fields of a specification.

    Refuses ``amount_unreadable`` and ``amount_too_large``.
    """
    where: dict[str, Any] = {
        name: given[name] for name in ("tiers", "kinds", "near", "domestic") if given[name]
    }
    if given["latency_ms"]:
        where["latency_us_max"] = given["latency_ms"] * 1000
    if given["verified"]:
        where["trust_min"] = 1
    if given["voucher_eligible"]:
        where["voucher_eligible"] = True
    able = {
        "gflops_min": (given["card_tflops"] or 0) * 1000,
        "memory_mib_min": (given["card_memory_gib"] or 0) * 1024,
    }
    plain = ("nodes", "spread", "priority", "not_before", "deadline", "deferrable", "preemptible")
    found: dict[str, Any] = {name: given[name] for name in plain if given[name]}
    if where:
        found["where"] = where
    if any(able.values()):
        found["capability"] = able
    if given["card_percent"]:
        found["card_milli"] = given["card_percent"] * WHOLE_CARD // 100
    if given["price_max"]:
        found["price_max_fen"] = parse_yuan(given["price_max"])
    return found


NOT_IN_THE_FORM: Final = ("where.divisions", "where.datasets", "capability.precision", "after")
"""Wishes one makes over the API or the command line."""


def not_shown(spec: Mapping[str, Any]) -> list[str]:
    """The wishes of an earlier specification that the form has no field for."""
    found = []
    for name in NOT_IN_THE_FORM:
        part: Any = spec
        for step in name.split("."):
            part = (part or {}).get(step)
        if part and part != "fp16":
            found.append(name)
    return found


def field_of(name: str) -> str:
    """The form's field that a field of the specification was typed in."""
    return _FIELDS.get(name) or _FIELDS.get(name.split(".")[0]) or name.split(".")[0]


def as_typed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier specification's wishes, as one would type them."""
    where, able = spec.get("where") or {}, spec.get("capability") or {}
    latency = where.get("latency_us_max")
    price = spec.get("price_max_fen")
    plain = ("nodes", "spread", "priority", "deferrable", "preemptible")
    return {
        **{name: spec.get(name) for name in plain},
        **{name: where.get(name) for name in ("tiers", "kinds", "near", "domestic")},
        "latency_ms": None if latency is None else -(-latency // 1000),
        "verified": bool(where.get("trust_min")),
        "voucher_eligible": where.get("voucher_eligible", False),
        "price_max": "" if price is None else format_yuan(price).lstrip("¥ ").replace(",", ""),
        "card_percent": spec["card_milli"] * 100 // WHOLE_CARD if "card_milli" in spec else None,
        "card_tflops": able.get("gflops_min", 0) // 1000 or None,
        "card_memory_gib": able.get("memory_mib_min", 0) // 1024 or None,
        **{name: _local(spec.get(name)) for name in ("not_before", "deadline")},
    }


def _local(moment: str | None) -> datetime | None:
    """A stored instant as the city's clocks show it."""
    return None if moment is None else datetime.fromisoformat(moment).astimezone(CITY_ZONE)
