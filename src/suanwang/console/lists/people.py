"""Tables of organisations, members, keys and the trail."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from suanwang.console import words
from suanwang.console.language import pick
from suanwang.console.tables import Cell, Column, Filter, Table, amount, chip, link, moment
from suanwang.console.tables import text as plain
from suanwang.people.models import ApiKey, AuditEvent, Member, Organisation
from suanwang.site.clock import now


def _code(organisation: Organisation) -> Cell:
    if organisation.uscc is None or organisation.uscc_valid or organisation.uscc_override_reason:
        return plain(organisation.uscc)
    return Cell(
        f"{organisation.uscc} ⚠",
        organisation.uscc,
    )


ORGANISATIONS = Table[Organisation](
    title=_("Organisations"),
    key="organisations",
    columns=(
        Column(
            _("Name"),
            lambda one: link(f"/organisations/{one.pk}", pick(one.name, one.name_en)),
            "name",
        ),
        Column(_("Kind"), lambda one: plain(words.word(words.KINDS, one.kind)), "kind"),
        Column(_("State"), lambda one: chip("organisation", one.status), "status"),
        Column(_("Credit code"), _code),
        Column(_("Registered on"), lambda one: moment(one.created_at), "created_at"),
        Column(
            _("Credit limit"), lambda one: amount(one.credit_limit_fen), "credit_limit_fen", True
        ),
    ),
    filters=(
        Filter(
            "status",
            _("State"),
            [(code, name) for code, (name, _tone) in words.ORGANISATION.items()],
            "status",
        ),
        Filter("kind", _("Kind"), list(words.KINDS.items()), "kind"),
    ),
    search=("name", "name_en", "uscc"),
    order="-created_at",
    empty_title=_("No organisations yet"),
    empty_text=_("Companies, institutes and providers appear here once they register."),
)
MEMBERS = Table[Member](
    title=_("Members"),
    key="members",
    columns=(
        Column(_("Name"), lambda one: plain(str(one.person)), "person__display_name"),
        Column(_("Sign-in name"), lambda one: plain(one.person.username), "person__username"),
        Column(_("Role"), lambda one: plain(words.word(words.ROLES, one.role)), "role"),
        Column(_("Since"), lambda one: moment(one.joined_at), "joined_at"),
        Column(_("Change"), lambda one: link(f"/members/{one.pk}", _("End membership"))),
    ),
    search=("person__username", "person__display_name"),
    order="joined_at",
    empty_title=_("No members"),
    empty_text=_("Add those who work for the organisation."),
)


def key_state(key: ApiKey) -> str:
    """``active``, ``expired`` or ``revoked``."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at <= now() else "active"


API_KEYS = Table[ApiKey](
    title=_("API keys"),
    key="api-keys",
    columns=(
        Column(_("Title"), lambda one: link(f"/api-keys/{one.pk}", one.title), "title"),
        Column(_("State"), lambda one: chip("key", key_state(one))),
        Column(_("Begins with"), lambda one: plain(f"sw_{one.prefix}_…")),
        Column(_("Acts as"), lambda one: plain(str(one.member.person))),
        Column(_("Made"), lambda one: moment(one.created_at), "created_at"),
        Column(_("Ends"), lambda one: moment(one.expires_at), "expires_at"),
        Column(_("Last used"), lambda one: moment(one.last_used_at)),
    ),
    order="-created_at",
    empty_title=_("No keys yet"),
    empty_text=_("A key lets a program act as you, within the scopes you give it."),
)


def _actor(event: AuditEvent) -> Cell:
    if event.person is None:
        return plain(_("The platform"), muted=True)
    return plain(str(event.person))


def _verb(event: AuditEvent) -> Cell:
    named = words.word(words.VERBS, event.verb)
    return Cell(format_html('<span title="{}">{}</span>', event.verb, named), named)


def _concerns(event: AuditEvent) -> Cell:
    concerns = event.concerns
    return plain(pick(concerns.name, concerns.name_en) if concerns else "", muted=concerns is None)


def _facts(event: AuditEvent) -> Cell:
    return plain("; ".join(f"{name}: {value}" for name, value in event.facts.items()), muted=True)


TRAIL = Table[AuditEvent](
    title=_("Audit trail"),
    key="trail",
    columns=(
        Column(_("When"), lambda one: moment(one.at), "at"),
        Column(_("Who"), _actor),
        Column(_("What"), _verb, "verb"),
        Column(_("Concerns"), _concerns),
        Column(_("Subject"), lambda one: plain(one.subject, muted=True)),
        Column(_("Facts"), _facts),
    ),
    search=("verb", "subject", "person__username", "person__display_name", "concerns__name"),
    order="-at",
    empty_title=_("Nothing yet"),
    empty_text=_("Every act is written here with who, for whom and when."),
)
