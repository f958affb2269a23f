"""Plain words for every code a page shows: states, roles, kinds, meters; with the chip's tone.

A tone is ``done``, ``waiting``, ``active``, ``refused`` or empty. Colour never speaks alone.
"""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = tuple[Promise, str]

JOB: Final[dict[str, Words]] = {
    "queued": (_("Queued"), "waiting"),
    "placed": (_("Placed"), "active"),
    "starting": (_("Starting"), "active"),
    "running": (_("Running"), "active"),
    "cancelling": (_("Cancelling"), "waiting"),
    "succeeded": (_("Succeeded"), "done"),
    "failed": (_("Failed"), "refused"),
    "cancelled": (_("Cancelled"), ""),
    "timeout": (_("Out of time"), "refused"),
    "out_of_memory": (_("Out of memory"), "refused"),
    "lost": (_("Lost"), "refused"),
}
ORGANISATION: Final[dict[str, Words]] = {
    "pending": (_("Waiting for approval"), "waiting"),
    "active": (_("Active"), "done"),
    "suspended": (_("Suspended"), "refused"),
}
INVOICE: Final[dict[str, Words]] = {
    "issued": (_("To be paid"), "waiting"),
    "overdue": (_("Overdue"), "refused"),
    "paid": (_("Paid"), "done"),
}
VOUCHER: Final[dict[str, Words]] = {
    "issued": (_("Valid"), "done"),
    "expired": (_("Expired"), ""),
    "cancelled": (_("Cancelled"), ""),
}
CLAIM: Final[dict[str, Words]] = {
    "filed": (_("Under review"), "waiting"),
    "approved": (_("Approved"), "active"),
    "ordered": (_("Payment ordered"), "active"),
    "paid": (_("Paid"), "done"),
    "rejected": (_("Rejected"), "refused"),
    "withdrawn": (_("Withdrawn"), ""),
}
APPLICATION: Final[dict[str, Words]] = {
    "filed": (_("Under review"), "waiting"),
    "granted": (_("Granted"), "done"),
    "rejected": (_("Rejected"), "refused"),
    "withdrawn": (_("Withdrawn"), ""),
}
ORDER: Final[dict[str, Words]] = {
    "ordered": (_("Waiting for receipts"), "waiting"),
    "paid": (_("Paid"), "done"),
    "returned": (_("Returned"), "refused"),
}
CENTRE: Final[dict[str, Words]] = {
    "registered": (_("Registered"), "waiting"),
    "verified": (_("Verified"), "done"),
    "closed": (_("Closed"), ""),
}
CHIPS: Final[dict[str, dict[str, Words]]] = {
    "job": JOB,
    "organisation": ORGANISATION,
    "invoice": INVOICE,
    "voucher": VOUCHER,
    "claim": CLAIM,
    "application": APPLICATION,
    "order": ORDER,
    "centre": CENTRE,
    "agent": {
        "online": (_("Online"), "done"),
        "silent": (_("Silent"), "refused"),
        "draining": (_("Takes no new work"), "waiting"),
        "shut": (_("Its policy is unreadable"), "refused"),
        "demo": (_("Demo, runs nothing"), ""),
        "waiting": (_("Not enrolled yet"), "waiting"),
        "revoked": (_("Revoked"), ""),
    },
    "key": {
        "active": (_("Active"), "done"),
        "expired": (_("Expired"), ""),
        "revoked": (_("Revoked"), ""),
    },
}

ROLES: Final[dict[str, Promise]] = {
    "owner": _("Owner"),
    "member": _("Member"),
    "billing": _("Billing"),
    "provider": _("Provider"),
    "operator": _("Operator"),
    "reviewer": _("Reviewer"),
    "approver": _("Approver"),
    "finance": _("Finance"),
    "county": _("County"),
    "auditor": _("Auditor"),
}
KINDS: Final[dict[str, Promise]] = {
    "enterprise": _("Enterprise"),
    "university": _("University"),
    "institute": _("Research institute"),
    "maker": _("Maker"),
    "public_body": _("Public body"),
    "provider": _("Compute provider"),
    "operator": _("Platform operator"),
    "bureau": _("Bureau"),
    "county": _("County-level unit"),
    "audit_office": _("Audit office"),
}
TIERS: Final[dict[str, Promise]] = {
    "center": _("City data centre"),
    "park": _("Park data centre"),
    "edge": _("Edge computing centre"),
}
COMPUTE: Final[dict[str, Promise]] = {
    "general": _("General-purpose"),
    "intelligent": _("AI compute"),
    "super": _("Supercomputing"),
}
METERS: Final[dict[str, Promise]] = {
    "core_seconds": _("Core-hours"),
    "card_seconds": _("Card-hours"),
    "memory_mib_seconds": _("Memory GiB-hours"),
}
PER: Final[dict[str, Promise]] = {
    "core_seconds": _("per core-hour"),
    "card_seconds": _("per card-hour"),
    "memory_mib_seconds": _("per GiB-hour of memory"),
}
GOALS: Final[dict[str, Promise]] = {
    "balanced": _("Balanced"),
    "cheapest": _("Cheapest"),
    "fastest": _("Fastest"),
    "greenest": _("Greenest"),
}
SPREADS: Final[dict[str, Promise]] = {
    "any": _("Anywhere"),
    "centre": _("In one centre"),
    "rack": _("In one rack"),
    "node": _("On one machine"),
}
PRIORITIES: Final[dict[str, Promise]] = {
    "low": _("Low"),
    "normal": _("Normal"),
    "high": _("High, where granted"),
}
DOMESTIC: Final[dict[str, Promise]] = {
    "preferred": _("Preferred"),
    "required": _("Required"),
}
CHANNELS: Final[dict[str, Promise]] = {
    "bank_slip": _("Bank slip"),
    "simulated": _("Simulated payment"),
}
LEVELS: Final[dict[str, Promise]] = {"city": _("City"), "county": _("District or county")}


TRANSFERS: Final[dict[str, Promise]] = {
    "hold": _("Hold for a job"),
    "hold:post": _("Job settled"),
    "hold:void": _("Hold released"),
    "hold:expire": _("Hold expired"),
    "charge": _("Charge beyond the hold"),
    "charge_back": _("Charged too much, given back"),
    "earnings": _("Earned from a job"),
    "earnings_back": _("Charged too much, taken back"),
    "payment": _("Payment of an invoice"),
    "credit": _("Credit limit"),
    "credit_limit": _("Credit limit"),
    "fund": _("Yearly funding"),
    "grant": _("Voucher granted"),
    "claim": _("Reserved for a claim"),
    "claim:post": _("Claim approved"),
    "claim:void": _("Reservation released"),
    "expire": _("Expired"),
    "order": _("Payment ordered"),
    "order:post": _("Receipt recorded"),
    "order:void": _("Order returned"),
}


def word(words: dict[str, Promise], code: str) -> str:
    """The word for a code; the code itself rather than nothing."""
    return str(words.get(code, code))


def transfer_word(code: str, kind: str) -> str:
    """What a movement of the ledger was for."""
    if kind in ("post", "void", "expire"):
        code = f"{code}:{kind}"
    return str(TRANSFERS.get(code, code))


JOB_FIELDS: Final[dict[str, Promise]] = {
    "name": _("the name"),
    "cores": _("the CPU cores"),
    "memory_mib": _("the memory"),
    "walltime_seconds": _("the time at most"),
    "accelerators": _("the accelerator cards"),
    "environment": _("the environment"),
    "accelerator_model": _("the model of card"),
    "image": _("the container image"),
    "files_out": _("the files to keep"),
    "card_milli": _("the part of each card"),
    "where": _("the places that will do"),
    "nodes": _("the nodes"),
    "spread": _("how close the nodes are"),
    "not_before": _("the earliest start"),
    "deadline": _("the latest end"),
    "priority": _("the priority"),
    "preemptible": _("that it may be stopped for others"),
    "after": _("the jobs it comes after"),
}

ENGINES: Final[dict[str, Promise]] = {
    "local": _("Built-in, this machine"),
    "slurm": _("Slurm"),
    "kubernetes": _("Kubernetes"),
    "ray": _("Ray"),
    "memory": _("Simulated"),
}

VERBS: Final[dict[str, Promise]] = {
    "agents.enrol": _("Made an enrolment for an agent"),
    "agents.drain": _("Let an agent take no new work, or work again"),
    "agents.revoke": _("Revoked an agent"),
    "api_keys.create": _("Made an API key"),
    "api_keys.revoke": _("Revoked an API key"),
    "applications.file": _("Filed an application"),
    "applications.grant": _("Granted a voucher"),
    "applications.reject": _("Rejected an application"),
    "applications.withdraw": _("Withdrew an application"),
    "centres.manage": _("Changed a centre"),
    "centres.verify": _("Verified a centre"),
    "claims.file": _("Filed a claim"),
    "claims.review": _("Reviewed a claim"),
    "claims.withdraw": _("Withdrew a claim"),
    "credit.set": _("Agreed a credit limit"),
    "energy.report": _("Reported energy"),
    "invoices.issue": _("Issued an invoice"),
    "invoices.pay": _("Started a payment"),
    "jobs.cancel": _("Cancelled a job"),
    "jobs.submit": _("Submitted a job"),
    "members.add": _("Added a member"),
    "members.remove": _("Ended a membership"),
    "links.measure": _("Entered a measured link"),
    "nodes.release": _("Let go of kept nodes"),
    "nodes.reserve": _("Kept nodes"),
    "organisation.approve": _("Admitted an organisation"),
    "organisation.found": _("Founded an office"),
    "organisation.override_uscc": _("Let a credit code pass"),
    "organisation.register": _("Registered an organisation"),
    "payment_orders.issue": _("Ordered a payment"),
    "payment_orders.receipt": _("Recorded a receipt"),
    "payment_orders.return": _("Took a payment order back"),
    "payments.record": _("Recorded a payment"),
    "person.change_password": _("Changed the password"),
    "pool.fund": _("Funded the voucher pool"),
    "prices.set": _("Set a price"),
    "rating.resolve": _("Resolved a rating problem"),
    "shares.set": _("Set a share of the pool"),
    "vouchers.expire": _("Expired a voucher"),
}

BENEFITS: Final[dict[str, Promise]] = {
    "negotiated": _("Case by case"),
    "rate_capped": _("A rate, up to a cap"),
    "percent_capped": _("A share of fees, up to a cap"),
    "fixed_once": _("A fixed amount, once"),
    "selected_up_to": _("By selection, up to an amount"),
    "selected_unspecified": _("By selection"),
    "county_discretion": _("As the county decides"),
    "refer_out": _("By other rules"),
    "matching_service": _("A service, no money"),
    "task_only": _("A task, no money"),
}

UNITS: Final[dict[str, Promise]] = {
    "day": _("days"),
    "month": _("months"),
    "year": _("years"),
    "rack": _("rack"),
    "unit": _("product"),
    "pflops": _("PFLOPS"),
}

GAP_SIGNS: Final[dict[str, Promise]] = {
    "<": _("below"),
    "<=": _("no more than"),
    ">": _("more than"),
    ">=": _("at least"),
    "==": _("exactly"),
    "!=": _("anything but"),
    "in": _("one of"),
    "not in": _("none of"),
}

GAP_SIGNS_OF_DATES: Final[dict[str, Promise]] = {
    "<": _("earlier than"),
    "<=": _("not after"),
    ">": _("later than"),
    ">=": _("not before"),
    "==": _("exactly"),
    "!=": _("anything but"),
}
