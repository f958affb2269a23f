"""What a provider registers: centres, clusters, prices, energy."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.forms.account import choose
from suanwang.console.language import pick
from suanwang.console.words import COMPUTE, ENGINES, METERS, PER, TIERS
from suanwang.registry.models import AcceleratorModel, Division

_WHEN = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class RegisterCentre(forms.Form):
    """A data centre with the facts that policy and placement need."""

    name = forms.CharField(label=_("Name"), max_length=100)
    name_en = forms.CharField(label=_("English name"), max_length=100, required=False)
    code = forms.SlugField(
        label=_("Code"),
        max_length=40,
        help_text=_("Small letters, digits and hyphens; jobs and addresses name it so."),
    )
    tier = forms.ChoiceField(label=_("Tier"), choices=list(TIERS.items()))
    kind = forms.ChoiceField(label=_("Kind"), choices=list(COMPUTE.items()))
    division = forms.ChoiceField(label=_("Where it stands"))
    racks = forms.IntegerField(label=_("Racks"), min_value=0)
    racks_used = forms.IntegerField(label=_("Racks used"), min_value=0, initial=0)

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        units = Division.objects.filter(in_scope=True).order_by("code")
        choose(self, "division", [(one.code, pick(one.name, one.name_en)) for one in units])


class RegisterCluster(forms.Form):
    """A set of nodes behind one engine; its agent reports them."""

    name = forms.CharField(label=_("Name"), max_length=60)
    engine = forms.ChoiceField(label=_("Engine"), choices=list(ENGINES.items()))


class SetPrice(forms.Form):
    """What one hour of a meter costs from a moment on."""

    meter = forms.ChoiceField(label=_("For"))
    accelerator_model = forms.ChoiceField(
        label=_("Model of card"), required=False, help_text=_("Only for card-hours.")
    )
    amount = forms.CharField(
        label=_("Price (yuan an hour)"),
        max_length=40,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("Of a core, a card, or a GiB of memory."),
    )
    starts = forms.DateTimeField(
        label=_("Valid from"), required=False, widget=_WHEN, help_text=_("Empty: from now on.")
    )
    ends = forms.DateTimeField(
        label=_("Until"), required=False, widget=_WHEN, help_text=_("Empty: until changed.")
    )

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        choose(self, "meter", [(code, f"{METERS[code]} · {PER[code]}") for code in METERS])
        models = AcceleratorModel.objects.order_by("code")
        choose(self, "accelerator_model", [("", "—"), *((one.code, one.name) for one in models)])


class ReportEnergy(forms.Form):
    """Metered energy of a period, in kilowatt-hours."""

    start = forms.DateTimeField(label=_("From"), widget=_WHEN)
    end = forms.DateTimeField(label=_("Until"), widget=_WHEN)
    it_kwh = forms.IntegerField(label=_("IT (kWh)"), min_value=1)
    facility_kwh = forms.IntegerField(label=_("Whole facility (kWh)"), min_value=1)
    green_kwh = forms.IntegerField(label=_("Green (kWh)"), min_value=0, initial=0)


class GiveBack(forms.Form):
    """What becomes of a charge that accounting says was too much, after it was settled."""

    resolution = forms.ChoiceField(
        label=_("What is to happen"),
        choices=[
            ("credited", _("Give the difference back to the user")),
            ("written_off", _("Leave the charge as it was")),
        ],
        initial="credited",
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class Resolve(forms.Form):
    """How a record that could not be rated was settled by hand."""

    amount = forms.CharField(
        label=_("Amount agreed (yuan)"),
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("Empty: written off, nobody pays."),
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
