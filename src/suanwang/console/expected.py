"""What the policy would pay back of a fee, before anybody commits to it."""

from __future__ import annotations

from datetime import datetime

from suanwang.console.session import own_organisation
from suanwang.jobs.estimate import CentreOption
from suanwang.people.scope import Viewer
from suanwang.vouchers.queries import Expected, expected_reimbursement


def expected_support(option: CentreOption, viewer: Viewer, at: datetime) -> Expected:
    """The part of an estimate the viewer's organisation could claim later. Not a promise."""
    return expected_reimbursement(own_organisation(viewer), option.amount_fen, option.centre, at=at)
