"""The only writers of organisations, people, memberships, keys, duties and the trail."""

from suanwang.people.services.api_keys import create_api_key, note_key_use, revoke_api_key
from suanwang.people.services.authority import PLATFORM, record, require, take_duty
from suanwang.people.services.members import (
    add_member,
    change_language,
    change_password,
    enlist,
    remove_member,
)
from suanwang.people.services.organisations import (
    agree_credit_limit,
    approve_organisation,
    found_organisation,
    override_uscc,
    register_organisation,
)
from suanwang.people.services.passwords import check_sign_in, forget_old_failures

__all__ = [
    "PLATFORM",
    "add_member",
    "agree_credit_limit",
    "approve_organisation",
    "change_language",
    "change_password",
    "check_sign_in",
    "create_api_key",
    "enlist",
    "forget_old_failures",
    "found_organisation",
    "note_key_use",
    "override_uscc",
    "record",
    "register_organisation",
    "remove_member",
    "require",
    "revoke_api_key",
    "take_duty",
]
