"""The public API: every room's router under ``/api/v1``, described by OpenAPI 3.1."""

from __future__ import annotations

import json
import logging
from typing import Any, ClassVar

from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as NinjaValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from suanwang import __version__
from suanwang.api import openapi, problems
from suanwang.api.idempotency import MUST_BE_TRIED_AGAIN
from suanwang.api.policy import router as policy
from suanwang.api.policy_assess import router as policy_assess
from suanwang.core.errors import Malformed, SuanwangError, Unavailable
from suanwang.jobs.agent_api import agent_router
from suanwang.jobs.api import router as jobs
from suanwang.jobs.pool_api import router as pool
from suanwang.ledger.api import router as ledger
from suanwang.metering.api import router as metering
from suanwang.people.api import router as people
from suanwang.programmes.api import router as programmes
from suanwang.registry.api import router as registry
from suanwang.vouchers.api import router as vouchers


class StrictParser(Parser):
    """JSON whose texts the database can keep: no NUL, no half of a surrogate pair."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = json.loads(request.body)
        if b"\\u" in request.body or b"\x00" in request.body:
            _check_texts(body)
        return body


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("NUL in a text")
        value.encode()
    elif isinstance(value, list):
        for entry in value:
            _check_texts(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            _check_texts(name)
            _check_texts(entry)


class CityAPI(NinjaAPI):
    """Ninja, with fields named by a pointer from the body's root and our additions described."""

    _documents: ClassVar[dict[str, OpenAPISchema]] = {}

    def validation_error_from_error_contexts(self, error_contexts: Any) -> NinjaValidationError:
        for context in error_contexts:
            single = getattr(context.model, "__read_from_single_attr__", None)
            error = super().validation_error_from_error_contexts([context])
            for entry in error.errors:
                place, *path = entry["loc"]
                entry["loc"] = (place, *(path[1:] if single and path[:1] == [single] else path))
            context.entries = error.errors
        return NinjaValidationError(
            [entry for context in error_contexts for entry in context.entries]
        )

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: Any = None
    ) -> OpenAPISchema:
        prefix = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        if prefix not in self._documents:  # the code does not change while it runs
            self._documents[prefix] = openapi.CityDocument(self, prefix)
        return self._documents[prefix]


api = CityAPI(
    title="Suanwang 算网",
    version="1",
    description=f"The public API of a city's compute. Suanwang {__version__}.",
    urls_namespace="api",
    docs_url=None,
    parser=StrictParser(),
)
api.add_exception_handler(SuanwangError, problems.of_refusal)
api.add_exception_handler(NinjaValidationError, problems.of_validation)
api.add_exception_handler(HttpError, problems.of_http_error)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Any) -> HttpResponse:
    return problems.of_status(request, 404)


@api.exception_handler(DataError)
def _out_of_range(request: HttpRequest, error: Any) -> HttpResponse:
    return problems.problem(request, Malformed("value_out_of_range"))


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_away(request: HttpRequest, error: Any) -> HttpResponse:
    """A conflict that undid the transaction is tried again by the gate; else it is a 503."""
    state = getattr(error.__cause__, "sqlstate", None)
    logging.getLogger(__name__).warning("the database refused: %s", error)
    setattr(request, MUST_BE_TRIED_AGAIN, state in ("40001", "40P01"))
    return problems.problem(request, Unavailable("database_unavailable"))


api.add_router("", people)
api.add_router("", registry)
api.add_router("", ledger)
api.add_router("/jobs", jobs)
api.add_router("/pool", pool)
api.add_router("", metering)
api.add_router("/vouchers", vouchers)
api.add_router("/programmes", programmes)
api.add_router("/policy", policy)
api.add_router("/policy", policy_assess)
api.add_router("/agent", agent_router)
