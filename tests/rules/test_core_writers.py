"""Who may touch rows: services write, scope reads, and views do neither by themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "suanwang"
WRITES = {
    "save",
    "create",
    "bulk_create",
    "bulk_update",
    "get_or_create",
    "update_or_create",
    "acreate",
    "asave",
    "adelete",
}
"""Names that write wherever they stand; ``update`` and ``delete`` only behind a query."""
QUERY_WRITES = {"update", "delete"}
QUERY_WORDS = {"objects", "_default_manager", "_base_manager", "filter", "exclude", "all"}

MAY_WRITE = {
    "ledger/store.py",  # the rows under the ledger's services
    "people/sign_in.py",  # the session of a browser
    "api/idempotency.py",  # the answers of the door
    "jobs/story.py",  # moves a job on and tells it, for jobs' services
    "vouchers/policy_in_force.py",  # archives the package that is in force, for its services
    "metering/numbering.py",  # numbers papers without gaps, for metering's services
}
"""Writers that are not called services, and why."""


MAY_READ = {
    ("console/views/calculator.py", "Organisation"),  # the viewer's own
    ("console/session.py", "Organisation"),  # the viewer's own
    ("console/shell.py", "Organisation"),  # the viewer's own
    ("console/views/money.py", "Organisation"),  # judged by the service it is handed to
    ("console/views/audit.py", "Organisation"),  # whose account it is; the city's readers alone
    ("console/views/operator.py", "Job"),  # sums over the pool, for the operator
    ("console/views/operator.py", "Attempt"),  # the same
    ("console/views/payment_orders.py", "Organisation"),  # the county office that bears a share
    ("console/views/money.py", "Payment"),  # of an invoice that was seen
    ("jobs/agent_api.py", "JobFile"),  # of an attempt leased to the signing agent
} | {
    ("console/figures.py", model)  # sums over the city that show no single row
    for model in ("Job", "Charge", "Voucher", "PaymentShare", "Organisation", "Payment")
}
"""Where an edge reads a model directly, and why it may."""

PUBLIC = {
    "Division",
    "DataCentre",
    "EnergyReading",
    "AcceleratorModel",
    "AcceleratorFigure",
    "Cluster",
    "Node",
    "Price",
}
"""Models whose every row is public (``SCOPE.public``)."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if "/migrations/" not in name:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_service(name: str) -> bool:
    parts = name.split("/")
    return parts[1:2] == ["services"] or parts[1:2] == ["services.py"]


def attributes(node: ast.expr) -> set[str]:
    """Every name in a chain like ``Job.objects.filter(...)``."""
    names: set[str] = set()
    while True:
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return names


def imports_django_models(tree: ast.Module) -> bool:
    """Whether rows can be met in a module at all: the client side knows none."""
    for node in ast.walk(tree):
        module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
        if module and (module.startswith("django") or module.endswith(".models")):
            return True
    return False


def test_only_services_write_rows() -> None:
    found = []
    for name, tree in modules():
        if is_service(name) or name in MAY_WRITE or not imports_django_models(tree):
            continue
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            chain = attributes(node.func.value)
            called = node.func.attr
            if (called in WRITES and (chain & QUERY_WORDS or called == "save")) or (
                called in QUERY_WRITES and chain & QUERY_WORDS
            ):
                found.append(f"{name}:{node.lineno} {ast.unparse(node.func)[:80]}")
    assert found == []


def test_views_and_apis_reach_rows_only_through_scope_queries_and_services() -> None:
    found = []
    for name, tree in modules():
        is_edge = name.startswith("console/") or name.endswith("api.py")
        if not is_edge:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            model = node.value.id if isinstance(node.value, ast.Name) else ""
            direct = node.attr in ("objects", "_default_manager")
            if direct and model not in PUBLIC and (name, model) not in MAY_READ:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)[:80]}")
    assert found == []


def test_no_row_is_written_by_raw_sql_outside_the_ledger_and_the_door() -> None:
    found = []
    for name, tree in modules():
        # Agents and engines keep a memory of their own, in SQLite on their own machine.
        own = name.startswith(("ledger/", "agent/", "engines/"))
        if own or name in MAY_WRITE or is_service(name):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                start = node.value.lstrip()[:12].upper()
                if start.startswith(("INSERT INTO", "DELETE FROM")):
                    found.append(f"{name}:{node.lineno}")
    assert found == []
