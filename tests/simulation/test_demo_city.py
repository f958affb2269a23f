"""Weeks of a whole city on a simulated clock, with the auditor looking over every row."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from django.db.models import Sum

from suanwang import policy
from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import Refused
from suanwang.jobs.models import Job
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.metering.models import Charge, Invoice, InvoiceLine
from suanwang.people.models import Organisation
from suanwang.programmes.models import PaymentOrder
from suanwang.site import clock, demo
from suanwang.site.audit import run
from suanwang.site.bootstrap import load_catalogues
from suanwang.site.demo.calendar import stay_in_force
from suanwang.site.settings import Settings, settings
from suanwang.vouchers.models import Claim

DAYS = 44  # one whole round, from invoices to the treasuries' receipts


@pytest.mark.django_db
def test_six_weeks_of_the_demo_city_reconcile_to_the_fen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "demo_days", DAYS)
    load_catalogues(settings())
    told: list[int] = []

    assert demo.load(lambda _what, done, _total: told.append(done))
    assert told == sorted(told), "progress never goes back"
    assert told[-1] == DAYS
    assert not demo.load(lambda *_: None), "a city that lives is not founded again"

    broken = [finding for finding in run() if not finding.kept]
    assert broken == []
    _must_have_lived()
    _must_reconcile()


@pytest.mark.django_db
def test_no_demo_is_ever_loaded_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "env", "production")
    with pytest.raises(Refused, match="demo_in_production"):
        demo.load(lambda *_: None)
    assert not Organisation.objects.exists()


def test_a_demo_opened_after_its_policy_lives_while_it_was_in_force(tmp_path: Path) -> None:
    package = policy.load(settings().policies / settings().policy)
    much_later = datetime.combine(package.valid_to, time.min, UTC) + timedelta(days=400)
    with clock.using(SimulatedClock(much_later)):
        behind = stay_in_force(tmp_path)
    kept = int((tmp_path / "clock-offset").read_text())
    assert timedelta(seconds=kept) == behind
    assert (much_later + behind).date() < package.valid_to
    shifted = Settings(home=tmp_path)
    assert shifted.clock_offset() == behind


def test_a_demo_opened_in_time_lives_by_this_machines_clock(tmp_path: Path) -> None:
    package = policy.load(settings().policies / settings().policy)
    in_time = datetime.combine(package.valid_from, time.min, UTC) + timedelta(days=100)
    with clock.using(SimulatedClock(in_time)):
        assert stay_in_force(tmp_path) == timedelta(0)
    assert not list(tmp_path.iterdir())


def _must_have_lived() -> None:
    jobs = Job.objects.all()
    assert jobs.count() > 100
    assert not jobs.exclude(state__in=Job.ENDED).exists(), "nobody would be left to end it"
    assert {"succeeded", "failed"} <= set(jobs.values_list("state", flat=True))
    states = set(Claim.objects.values_list("state", flat=True))
    assert "paid" in states
    assert "approved" in states, "A26: where the split is not confirmed, payment waits"
    assert PaymentOrder.objects.filter(state="paid").exists()


def _must_reconcile() -> None:
    charged = Charge.objects.aggregate(fen=Sum("amount_fen"))["fen"]
    invoiced = InvoiceLine.objects.aggregate(fen=Sum("amount_fen"))["fen"]
    totals = Invoice.objects.aggregate(fen=Sum("total_fen"))["fen"]
    assert invoiced == totals
    earned = sum(
        balance(chart.earnings(provider).id).credits_posted
        for provider in Organisation.objects.filter(kind="provider").values_list("pk", flat=True)
    )
    assert charged == earned > totals > 0
    clearing = balance(chart.clearing().id)
    assert clearing.credits_posted == clearing.debits_posted
    assert clearing.credits_pending == 0
