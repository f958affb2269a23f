"""Carries what a form asks for to a service, and a refusal back beside the form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest

from suanwang.console.language import short
from suanwang.core.errors import SuanwangError
from suanwang.core.refusals import explain

T = TypeVar("T")


def attempt(form: Form, verb: Callable[[], T], fields: dict[str, str] | None = None) -> T | None:
    """What the service returned; None if it refused, with the refusal put into the form.

    ``fields`` says beside which field a code belongs; others stand on top of the form.
    """
    try:
        return verb()
    except SuanwangError as refusal:
        field = (fields or {}).get(refusal.code)
        form.add_error(field, explain(refusal, short()))
        return None


def attempt_button(request: HttpRequest, verb: Callable[[], T], said: str) -> T | None:
    """For a button without fields: say what was done, or why not, on the next page."""
    try:
        done = verb()
    except SuanwangError as refusal:
        messages.error(request, explain(refusal, short()))
        return None
    messages.success(request, said)
    return done
