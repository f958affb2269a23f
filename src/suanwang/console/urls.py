"""Every page of the console. One address per thing, whoever looks at it."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from suanwang.console import static_files
from suanwang.console.views import account, jobs, money, organisation, policy, public

urlpatterns: list[URLPattern | URLResolver] = [
    path("static/<path:path>", static_files.serve),
    path("", public.home, name="home"),
    path("centres", public.centres, name="centres"),
    path("centres/<slug:code>", public.centre, name="centre"),
    path("policy", policy.policy, name="policy"),
    path("sign-in", account.sign_in_page, name="sign-in"),
    path("sign-out", account.sign_out_here, name="sign-out"),
    path("register", account.register, name="register"),
    path("language", account.language, name="language"),
    path("switch", account.switch, name="switch"),
    path("large-type", account.large_type, name="large-type"),
    path("jobs", jobs.jobs_or_submit, name="jobs"),
    path("jobs/new", jobs.new, name="job-new"),
    path("jobs/<uuid:job_id>", jobs.job, name="job"),
    path("jobs/<uuid:job_id>/live", jobs.live, name="job-live"),
    path("jobs/<uuid:job_id>/cancel", jobs.cancel, name="job-cancel"),
    path("jobs/<uuid:job_id>/files/<int:file_id>", jobs.file, name="job-file"),
    path("invoices", money.invoices, name="invoices"),
    path("invoices/issue", money.issue, name="invoice-issue"),
    path("invoices/<uuid:invoice_id>", money.invoice, name="invoice"),
    path("invoices/<uuid:invoice_id>/pay", money.pay, name="invoice-pay"),
    path("invoices/<uuid:invoice_id>/slip", money.record_slip, name="invoice-slip"),
    path("statement", money.statement, name="statement"),
    path("organisations", organisation.organisations, name="organisations"),
    path("organisations/<uuid:organisation_id>", organisation.organisation, name="organisation"),
    path(
        "organisations/<uuid:organisation_id>/override",
        organisation.override_uscc,
        name="organisation-override",
    ),
    path(
        "organisations/<uuid:organisation_id>/approve",
        organisation.approve,
        name="organisation-approve",
    ),
    path(
        "organisations/<uuid:organisation_id>/credit",
        organisation.set_credit,
        name="organisation-credit",
    ),
    path("members", organisation.members, name="members"),
    path("members/<int:member_id>", organisation.member, name="member"),
    path("api-keys", organisation.api_keys, name="api-keys"),
    path("api-keys/<uuid:key_id>", organisation.api_key, name="api-key"),
    path("trail", organisation.trail, name="trail"),
]
