"""Members, keys, and what the operator and officials decide about an organisation."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.forms.account import choose
from suanwang.console.words import ROLES
from suanwang.people.models import Organisation
from suanwang.people.roles import PERMISSIONS, ROLES_BY_KIND, OrganisationKind, Role


class AddMember(forms.Form):
    """A colleague and the role they will act in."""

    username = forms.CharField(
        label=_("Sign-in name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    display_name = forms.CharField(label=_("Name"), max_length=100, required=False)
    role = forms.ChoiceField(label=_("Role"))
    password = forms.CharField(
        label=_("First password"),
        required=False,
        strip=False,
        help_text=_("For someone new; hand it over in person, they can change it."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, organisation: Organisation, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        roles = sorted(ROLES_BY_KIND[OrganisationKind(organisation.kind)])
        choose(self, "role", [(role.value, ROLES[role.value]) for role in roles])


class MakeKey(forms.Form):
    """A key: what for, for how long, and what it may do."""

    title = forms.CharField(
        label=_("Title"), max_length=100, help_text=_("What uses it, to find it again.")
    )
    days = forms.IntegerField(label=_("Days until it ends"), min_value=1, initial=90)
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        required=False,
        help_text=_("What it may do. Choose nothing to allow all of your role."),
        widget=forms.SelectMultiple(attrs={"size": 8}),
    )

    def __init__(self, role: Role, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        choose(self, "scopes", [(one, one) for one in sorted(PERMISSIONS[role])])


class Reason(forms.Form):
    """Why something was decided as it was."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Kept in the audit trail, shown to those it concerns."),
    )


class CreditLimit(forms.Form):
    """What an organisation may owe before it pays."""

    limit = forms.CharField(
        label=_("Limit (yuan)"),
        max_length=40,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("What it may owe before paying, like 50000.00."),
    )
