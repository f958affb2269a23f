"""What the registry is filled with before anybody registers: divisions and accelerator models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Protocol

import yaml
from django.db import transaction

from suanwang.registry.models import AcceleratorFigure, AcceleratorModel, Cluster, Division, Node
from suanwang.registry.rules import BASES, EVIDENCE, PRECISIONS, SPARSITIES


class DivisionFacts(Protocol):
    """A county-level unit as a policy package lists it."""

    @property
    def code(self) -> str: ...
    @property
    def name(self) -> Mapping[str, str]: ...
    @property
    def kind(self) -> str: ...
    @property
    def in_scope(self) -> bool: ...


@transaction.atomic
def load_divisions(divisions: Iterable[DivisionFacts]) -> int:
    """Take over the county-level units of a policy package. Safe to repeat; removes none."""
    rows = [
        Division(
            code=unit.code,
            name=unit.name["zh"],
            name_en=unit.name["en"],
            kind=unit.kind,
            in_scope=unit.in_scope,
        )
        for unit in divisions
    ]
    Division.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "name_en", "kind", "in_scope"],
    )
    return len(rows)


@cache
def accelerator_file() -> list[dict[str, Any]]:
    """The catalogue shipped with the product: a list of models with their figures."""
    text = resources.files("suanwang.registry").joinpath("accelerators.yaml").read_text("utf-8")
    models: list[dict[str, Any]] = yaml.safe_load(text)["models"]
    return models


@transaction.atomic
def load_accelerators() -> int:
    """Take over the shipped catalogue of accelerators. Safe to repeat; removes no model.

    Where cards waited for their model to be known, the agent is asked for its nodes again.
    """
    models, figures = [], []
    for entry in accelerator_file():
        models.append(
            AcceleratorModel(
                code=entry["code"],
                vendor=entry["vendor"],
                name=entry["name"],
                memory_mib=entry["memory_gb"] * 1024,
                domestic=entry["domestic"],
            )
        )
        figures += [_figure(entry["code"], figure) for figure in entry["figures"]]
    AcceleratorModel.objects.bulk_create(
        models,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["vendor", "name", "memory_mib", "domestic"],
    )
    waited = Node.objects.filter(unknown_model__in=[model.code for model in models])
    Cluster.objects.filter(nodes__in=waited).update(revision="")
    AcceleratorFigure.objects.filter(model__in=models).delete()
    AcceleratorFigure.objects.bulk_create(figures)
    return len(models)


def _figure(model: str, figure: dict[str, Any]) -> AcceleratorFigure:
    known = (
        figure["precision"] in PRECISIONS
        and figure["sparsity"] in SPARSITIES
        and figure["basis"] in BASES
        and figure["evidence"] in EVIDENCE
    )
    if not known:
        raise ValueError(f"accelerators.yaml: a figure of {model} is not understood: {figure}")
    return AcceleratorFigure(
        model_id=model,
        precision=figure["precision"],
        sparsity=figure["sparsity"],
        basis=figure["basis"],
        gflops=figure["gflops"],
        evidence=figure["evidence"],
        source=figure["source"],
    )
