"""The committed description of the API is the code's; what it says is what happens."""

from __future__ import annotations

from suanwang.api import document

HOW = "the API changed; run: python -m suanwang.api.document"


def test_the_committed_openapi_document_is_that_of_the_code() -> None:
    committed = (document.REFERENCE / "openapi.json").read_text(encoding="utf-8")
    assert document.openapi_text(document.document()) == committed, HOW


def test_the_committed_reference_page_is_that_of_the_code() -> None:
    committed = (document.REFERENCE / "api.md").read_text(encoding="utf-8")
    assert document.page_text(document.document()) == committed, HOW


def test_every_write_takes_an_idempotency_key_and_every_operation_may_refuse() -> None:
    for path, operations in document.document()["paths"].items():
        for method, operation in operations.items():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            keyed = any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", []))
            free = path.startswith(("/api/v1/agent/", "/api/v1/sign-"))
            assert keyed == (method != "get" and not free), f"{method} {path}"


def test_every_operation_says_what_it_does() -> None:
    for path, operations in document.document()["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path} needs a docstring"
            assert operation.get("tags"), f"{method} {path} belongs to no room"
