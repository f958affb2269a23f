"""The city's accounts: which there are, whose, with which limits.

Ids are derived from what an account is for, so every room finds it without looking it up:
``uuid5(NAMESPACE, "<code>:<owner>")``, where the owner of a yearly account ends in its year.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from suanwang.ledger.terms import AccountFlag, AccountSpec, Ledger

NAMESPACE = UUID("6f1d1f0e-2a4b-5c55-9d0e-9b7a5d6c1a11")
CITY = "city"

TITLES: dict[str, dict[str, str]] = {
    "bank": {"zh": "银行往来", "en": "Bank: the world outside"},
    "credit": {"zh": "平台授信", "en": "Credit given by the platform"},
    "spend": {"zh": "用户可用额度", "en": "What a user may spend"},
    "clearing": {"zh": "待清算", "en": "Held for jobs until it is known who earned it"},
    "earnings": {"zh": "供给方应收", "en": "What a provider has earned"},
    "fiscal": {"zh": "财政预算", "en": "Budget of a level of government"},
    "subsidy": {"zh": "财政补贴", "en": "Paid to an organisation by the city"},
    "appropriation": {"zh": "年度算力券预算", "en": "Yearly appropriation for vouchers"},
    "pool": {"zh": "算力券资金池", "en": "Voucher pool"},
    "voucher": {"zh": "算力券", "en": "Voucher"},
    "redeemed": {"zh": "已兑付", "en": "Redeemed"},
    "expired": {"zh": "已失效", "en": "Expired"},
    "cap": {"zh": "年度上限", "en": "Yearly cap"},
    "issue_allowance": {
        "zh": "单位年度可领额度",
        "en": "What a unit may still be issued this year",
    },
    "payment_allowance": {
        "zh": "单位年度可兑额度",
        "en": "What a unit may still be paid this year",
    },
    "used": {"zh": "已用额度", "en": "Allowance used"},
}

_LIMITED = AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS


def _account(code: str, ledger: Ledger, owner: str, *, limited: bool = False) -> AccountSpec:
    return AccountSpec(
        id=uuid5(NAMESPACE, f"{code}:{owner}"),
        code=code,
        ledger=int(ledger),
        flags=_LIMITED if limited else AccountFlag.NONE,
        owner=owner,
        title=TITLES[code]["zh"],
    )


def bank() -> AccountSpec:
    """The world outside, where payments come from and go to."""
    return _account("bank", Ledger.MONEY, CITY)


def credit() -> AccountSpec:
    """Credit the platform has given: what users may owe before they pay."""
    return _account("credit", Ledger.MONEY, CITY)


def spend(organisation: UUID) -> AccountSpec:
    """What a user may spend: credit limit + payments - charges - holds. Never below zero."""
    return _account("spend", Ledger.MONEY, str(organisation), limited=True)


def clearing() -> AccountSpec:
    """What jobs are held for before it is known which provider earned it; empty once all settled.

    A hold is pending spend -> clearing; settling posts it and moves clearing -> earnings.
    """
    return _account("clearing", Ledger.MONEY, CITY)


def earnings(provider: UUID) -> AccountSpec:
    """What a provider has earned from jobs."""
    return _account("earnings", Ledger.MONEY, str(provider))


def fiscal(policy: str, division_code: str, year: int) -> AccountSpec:
    """A level of government's budget for a policy in a year: what it owes and has paid."""
    return _account("fiscal", Ledger.MONEY, f"{policy}:{division_code}:{year}")


def subsidy(organisation: UUID) -> AccountSpec:
    """What the city and its counties have paid to an organisation."""
    return _account("subsidy", Ledger.MONEY, str(organisation))


def appropriation(policy: str, year: int) -> AccountSpec:
    """Where a year's pool comes from."""
    return _account("appropriation", Ledger.ENTITLEMENT, f"{policy}:{year}")


def pool(policy: str, year: int) -> AccountSpec:
    """What is left of a year's vouchers to grant. Never below zero: Baoding 2024, article 5."""
    return _account("pool", Ledger.ENTITLEMENT, f"{policy}:{year}", limited=True)


def voucher(voucher_id: UUID) -> AccountSpec:
    """What is left of one voucher; a claim in review is pending against it."""
    return _account("voucher", Ledger.ENTITLEMENT, str(voucher_id), limited=True)


def redeemed(policy: str, year: int) -> AccountSpec:
    """What was approved for payment in a year."""
    return _account("redeemed", Ledger.ENTITLEMENT, f"{policy}:{year}")


def expired(policy: str, year: int) -> AccountSpec:
    """What vouchers of a year lost by running out."""
    return _account("expired", Ledger.ENTITLEMENT, f"{policy}:{year}")


def cap(policy: str, year: int) -> AccountSpec:
    """Where the yearly allowances of units come from."""
    return _account("cap", Ledger.ALLOWANCE, f"{policy}:{year}")


def issue_allowance(policy: str, year: int, organisation: UUID) -> AccountSpec:
    """What a unit may still be granted in a year. Never below zero: Baoding 2024, article 5."""
    return _account(
        "issue_allowance", Ledger.ALLOWANCE, f"{policy}:{organisation}:{year}", limited=True
    )


def payment_allowance(policy: str, year: int, organisation: UUID) -> AccountSpec:
    """What a unit may still be paid in a year. Never below zero: Baoding 2024, article 5."""
    return _account(
        "payment_allowance", Ledger.ALLOWANCE, f"{policy}:{organisation}:{year}", limited=True
    )


def used(policy: str, year: int) -> AccountSpec:
    """Allowance that was used up by grants and payments."""
    return _account("used", Ledger.ALLOWANCE, f"{policy}:{year}")
