"""Forms about money."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class BankSlip(forms.Form):
    """A payment as the bank's slip shows it."""

    reference = forms.CharField(
        label=_("Number of the slip"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    amount = forms.CharField(
        label=_("Amount (yuan)"),
        max_length=40,
        help_text=_("The whole total of the invoice, like 1234.50."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    paid_on = forms.DateField(
        label=_("Day of payment"), widget=forms.DateInput(attrs={"type": "date"})
    )
