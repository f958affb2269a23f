"""Sign-in and registration."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.language import pick
from suanwang.console.words import KINDS
from suanwang.people import rules
from suanwang.registry.models import Division


class SignIn(forms.Form):
    """A name and a password."""

    username = forms.CharField(
        label=_("Sign-in name"),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        strip=False,
    )


class ChangePassword(forms.Form):
    """The password one has, and the one to have."""

    current = forms.CharField(
        label=_("Current password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class Register(forms.Form):
    """An organisation and the person who will act for it first."""

    name = forms.CharField(label=_("Registered name"), max_length=200)
    name_en = forms.CharField(label=_("English name"), max_length=200, required=False)
    kind = forms.ChoiceField(label=_("Kind"))
    uscc = forms.CharField(
        label=_("Unified social credit code"),
        max_length=40,
        required=False,
        help_text=_("18 characters. A maker without a legal person may leave it empty."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    division = forms.ChoiceField(
        label=_("Where it is registered now"),
        help_text=_("The unit that re-checks claims and bears its share of the support."),
    )
    username = forms.CharField(
        label=_("Sign-in name"),
        max_length=150,
        help_text=_("Of the person who registers; becomes the owner's account."),
        widget=forms.TextInput(attrs={"autocomplete": "username"}),
    )
    display_name = forms.CharField(
        label=_("Your name"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        kinds = [kind for kind in KINDS if kind in {one.value for one in rules.SELF_REGISTERED}]
        choose(self, "kind", [(kind, KINDS[kind]) for kind in kinds])
        units = Division.objects.filter(in_scope=True).order_by("code")
        choose(
            self,
            "division",
            [("", _("Choose")), *((one.code, pick(one.name, one.name_en)) for one in units)],
        )


def choose(form: forms.Form, name: str, choices: list[tuple[str, object]]) -> None:
    """Give a choice field what may be chosen now."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - what the field is was written above
    field.choices = choices
