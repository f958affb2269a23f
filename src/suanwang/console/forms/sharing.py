"""How the pool is shared: shares of organisations, kept nodes, what a centre has around it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from suanwang.console.forms.account import choose
from suanwang.console.language import pick
from suanwang.jobs.services import Share
from suanwang.people.models import Organisation
from suanwang.registry.models import Cluster

_WHEN = {"type": "datetime-local"}


class SetShare(forms.Form):
    """What one organisation has of the pool beside others."""

    organisation = forms.ChoiceField(label=_("Organisation"))
    weight = forms.DecimalField(
        label=_("Weight"),
        min_value=Decimal("0.001"),
        max_value=1000,
        decimal_places=3,
        initial=1,
        help_text=_("1 is the usual; 2 gets twice as much when both wait."),
    )
    cores = forms.IntegerField(
        label=_("Cores it is sure of"), required=False, min_value=0, max_value=100_000_000
    )
    cards = forms.IntegerField(
        label=_("Cards it is sure of"), required=False, min_value=0, max_value=100_000_000
    )
    cohort = forms.CharField(
        label=_("Cohort"),
        required=False,
        max_length=40,
        help_text=_("Organisations of one cohort lend each other what is idle."),
    )
    borrow = forms.BooleanField(label=_("May borrow"), required=False, initial=True)
    lend = forms.BooleanField(label=_("Lends"), required=False, initial=True)
    high_priority = forms.BooleanField(
        label=_("Its jobs may ask for high priority"), required=False
    )

    def __init__(self, organisations: Any, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names: list[tuple[str, object]] = [
            (str(one.pk), pick(one.name, one.name_en)) for one in organisations
        ]
        choose(self, "organisation", names)

    def share(self) -> Share:
        """The terms a valid form asks for."""
        given = self.cleaned_data
        plain = ("cores", "cards", "cohort", "borrow", "lend", "high_priority")
        weight_milli = int(given["weight"] * 1000)
        return Share(weight_milli=weight_milli, **{name: given[name] for name in plain})


class KeepNodes(forms.Form):
    """Nodes of a cluster over a period."""

    cluster = forms.ChoiceField(label=_("Cluster"))
    nodes = forms.CharField(
        label=_("Names of nodes"),
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        help_text=_("One name a line; empty: all of the cluster."),
    )
    organisations = forms.MultipleChoiceField(
        label=_("Kept for"), required=False, help_text=_("None: for nobody, as for maintenance.")
    )
    starts = forms.DateTimeField(label=_("From"), widget=forms.DateTimeInput(attrs=_WHEN))
    ends = forms.DateTimeField(label=_("Until"), widget=forms.DateTimeInput(attrs=_WHEN))
    reason = forms.CharField(label=_("Reason"), max_length=200)

    def __init__(
        self, clusters: Any, organisations: list[Organisation], *args: object, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choose(self, "cluster", [(str(one.pk), cluster_name(one)) for one in clusters])
        if organisations:
            names: list[tuple[str, object]] = [
                (str(one.pk), pick(one.name, one.name_en)) for one in organisations
            ]
            choose(self, "organisations", names)
        else:
            del self.fields["organisations"]


class Surroundings(forms.Form):
    """Green hours of a centre and the data kept there."""

    green_hours = forms.MultipleChoiceField(
        label=_("Hours with green power"),
        required=False,
        choices=[(str(hour), f"{hour:02d}") for hour in range(24)],
        widget=forms.CheckboxSelectMultiple,
    )
    datasets = forms.CharField(
        label=_("Data kept there"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("One name a line; jobs can ask to run beside it."),
    )


def cluster_name(cluster: Cluster) -> str:
    """Of its centre, as people know it."""
    return f"{pick(cluster.centre.name, cluster.centre.name_en)} · {cluster.name}"


def lines(text: str) -> list[str]:
    """What was typed, a name a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]
