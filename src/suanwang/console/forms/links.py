"""Asking for a measurement of the way between two places, or entering one."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.forms.account import choose


class MeasureLink(forms.Form):
    """Two centres whose agents are to measure the way between them."""

    one = forms.ChoiceField(label=_("Centre"))
    other = forms.ChoiceField(label=_("Other centre"))

    def __init__(self, centres: Iterable[tuple[str, str]], *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names: list[tuple[str, object]] = [*centres]
        choose(self, "one", names)
        choose(self, "other", names)


class EnterLink(forms.Form):
    """What somebody measured otherwise, between centres or divisions."""

    one = forms.CharField(label=_("Code of a place"), max_length=40)
    other = forms.CharField(label=_("Code of another place"), max_length=40)
    latency_ms = forms.DecimalField(
        label=_("Latency there and back (ms)"),
        min_value=Decimal("0.001"),
        max_value=1_000_000,
        decimal_places=3,
    )
    bandwidth_mbps = forms.IntegerField(
        label=_("Bandwidth (Mbit/s)"), required=False, min_value=0, max_value=10**8
    )
