"""A job as typed: the script may say what the fields leave open, by its #SBATCH lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError

from suanwang.console.forms.account import choose
from suanwang.console.forms.wishes import WishFields, field_of, wished
from suanwang.console.language import pick, short
from suanwang.console.words import GOALS
from suanwang.core import sbatch
from suanwang.core.errors import Refused, SuanwangError
from suanwang.core.image import IMAGE_CHARACTERS_MAX
from suanwang.core.jobspec import JobSpec, problems
from suanwang.core.refusals import explain
from suanwang.registry.models import AcceleratorModel, DataCentre


class MultipleFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class JobForm(WishFields):
    """Empty fields take what the script's #SBATCH lines ask for, else the usual."""

    mark_optional = False

    name = forms.CharField(label=_("Name"), max_length=120, required=False)
    script = forms.CharField(
        label=_("Script"),
        strip=False,
        widget=forms.Textarea(attrs={"class": "script", "spellcheck": "false", "wrap": "off"}),
        help_text=_("Run by bash unless the first line begins with #!. #SBATCH lines are read."),
    )
    cores = forms.IntegerField(
        label=_("CPU cores"), required=False, widget=forms.NumberInput(attrs={"placeholder": "1"})
    )
    memory_mib = forms.IntegerField(
        label=_("Memory (MiB)"),
        required=False,
        widget=forms.NumberInput(attrs={"placeholder": "1024"}),
    )
    walltime = forms.CharField(
        label=_("Time at most"),
        required=False,
        help_text=_("Minutes, or hours like 01:30:00. Stopped when it is over."),
        widget=forms.TextInput(attrs={"placeholder": "01:00:00", "autocomplete": "off"}),
    )
    accelerators = forms.IntegerField(
        label=_("Accelerator cards"),
        required=False,
        widget=forms.NumberInput(attrs={"placeholder": "0"}),
    )
    accelerator_model = forms.ChoiceField(label=_("Model of card"), required=False)
    image = forms.CharField(
        label=_("Container image"),
        required=False,
        max_length=IMAGE_CHARACTERS_MAX,
        help_text=_("Like docker.io/library/python:3.12. Leave open for what the centre offers."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
    )
    centre = forms.ChoiceField(
        label=_("Centre"), required=False, help_text=_("Leave open and the city chooses.")
    )
    goal = forms.ChoiceField(label=_("Choose for"), required=False, choices=list(GOALS.items()))
    environment = forms.CharField(
        label=_("Environment"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        help_text=_("One NAME=value a line."),
    )
    files_out = forms.CharField(
        label=_("Files to keep"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
        help_text=_("One name or pattern a line, like results/*.csv."),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.offer_places()
        models = AcceleratorModel.objects.filter(node__isnull=False).distinct().order_by("code")
        choose(
            self,
            "accelerator_model",
            [("", _("Any")), *((one.code, one.name) for one in models)],
        )
        centres = DataCentre.objects.exclude(status="closed").order_by("code")
        choose(
            self,
            "centre",
            [("", _("Any")), *((one.code, pick(one.name, one.name_en)) for one in centres)],
        )


@dataclass(frozen=True)
class Asked:
    """What a form asks for, and what the script's #SBATCH lines became."""

    spec: JobSpec
    reading: sbatch.Reading


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _typed(given: dict[str, Any]) -> dict[str, Any]:
    """The fields that were filled in."""
    plain = (
        "name", "cores", "memory_mib", "accelerators", "accelerator_model", "image", "centre",
        "goal",
    )  # fmt: skip
    typed = {name: given[name] for name in plain if given[name] not in (None, "")}
    if given["walltime"]:
        typed["walltime_seconds"] = sbatch.seconds(given["walltime"]) or 0
    if environment := _lines(given["environment"]):
        typed["environment"] = {
            name.strip(): value
            for name, _sign, value in (one.partition("=") for one in environment)
        }
    if files := _lines(given["files_out"]):
        typed["files_out"] = files
    return typed


def read_job(form: JobForm, files_in: list[dict[str, Any]] | None = None) -> Asked | None:
    """The job a valid form asks for; None with the form's errors filled in if it is impossible."""
    given = form.cleaned_data
    try:
        reading = sbatch.read(given["script"].replace("\r\n", "\n"))
    except Refused as refusal:
        form.add_error("script", explain(refusal, short()))
        return None
    try:
        typed = _typed(given)
    except Refused as refusal:
        form.add_error("walltime", explain(refusal, short()))
        return None
    try:
        wishes = wished(given)
    except Refused as refusal:
        form.add_error("price_max", explain(refusal, short()))
        return None
    fields = (
        reading.fields | typed | wishes | {"script": given["script"], "files_in": files_in or []}
    )
    try:
        return Asked(JobSpec.model_validate(fields), reading)
    except ValidationError as error:
        for problem in problems(error):
            name = field_of(problem.field)
            field = name if name in form.fields else None
            form.add_error(field, explain(SuanwangError(problem.code, **problem.facts), short()))
        return None
