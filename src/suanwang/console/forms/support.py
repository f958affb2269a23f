"""Applying for a voucher, deciding, paying out."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

_AMOUNT = {"inputmode": "decimal", "autocomplete": "off"}


class Apply(forms.Form):
    """How much and what for."""

    asked = forms.CharField(
        label=_("Face value asked for (yuan)"),
        max_length=40,
        widget=forms.TextInput(attrs=_AMOUNT),
        help_text=_("About half of what you mean to spend on local compute this year."),
    )
    purpose = forms.CharField(
        label=_("What the compute is for"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 5}),
    )


class Grant(forms.Form):
    """What is granted of what was asked, and until when."""

    amount = forms.CharField(
        label=_("Face value granted (yuan)"),
        max_length=40,
        widget=forms.TextInput(attrs=_AMOUNT),
    )
    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Empty: the last day the policy allows for this year."),
    )
    reason = forms.CharField(
        label=_("Remark"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )


class Review(forms.Form):
    """Approve or reject; a rejection needs its reason."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Needed to reject; the applicant reads it."),
    )


class Receipt(forms.Form):
    """The treasury's number for one share."""

    receipt = forms.CharField(
        label=_("Number of the receipt"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
