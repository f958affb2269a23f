"""What the worker does on request: rate, settle and confirm, in the order they were asked for."""

from __future__ import annotations

from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from suanwang.metering import services as metering
from suanwang.metering.models import Invoice, Settlement


def work() -> None:
    """Do what waits, by the names and arguments that stand in the queue."""
    waiting = ProcrastinateJob.objects.filter(queue_name="money", status="todo").order_by("pk")
    for job in waiting:
        app.tasks[job.task_name](**job.args)


def test_reported_use_is_rated_and_settled_by_the_worker(city):
    job = city.job()
    city.report(job)
    city.report(city.job())
    waiting = ProcrastinateJob.objects.filter(task_name="metering.rate_and_settle")
    assert waiting.count() == 1, "two reports need one round"
    work()
    assert Settlement.objects.count() == 2


def test_a_payment_at_the_channel_is_confirmed_by_the_worker(city):
    city.used()
    invoice = city.invoice()
    metering.start_channel_payment(invoice, actor=city.billing, at=city.now)
    work()
    assert Invoice.objects.get(pk=invoice.pk).status == "paid"
