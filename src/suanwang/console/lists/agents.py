"""Tables of agents and of what centres would not take."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from suanwang.console.catalogue import agent_state
from suanwang.console.language import pick, short
from suanwang.console.tables import Cell, Column, Table, chip, link, moment, number
from suanwang.console.tables import text as plain
from suanwang.console.templatetags.console import mib
from suanwang.console.words import ENGINES, word
from suanwang.jobs.models import Attempt
from suanwang.jobs.wording import words
from suanwang.registry.models import SiteAgent
from suanwang.site.clock import now


def _agent_of(agent: SiteAgent) -> Cell:
    cluster = agent.cluster
    name = f"{pick(cluster.centre.name, cluster.centre.name_en)} · {cluster.name}"
    return link(f"/agents/{agent.pk}", name)


AGENTS = Table[SiteAgent](
    title=_("Agents"),
    key="agents",
    columns=(
        Column(_("Cluster"), _agent_of, "cluster__centre__name"),
        Column(_("State"), lambda agent: chip("agent", agent_state(agent, now()))),
        Column(_("Engine"), lambda agent: plain(word(ENGINES, agent.cluster.engine))),
        Column(_("Version"), lambda agent: plain(agent.version)),
        Column(_("Isolation"), lambda agent: plain(agent.isolation)),
        Column(_("Last seen"), lambda agent: moment(agent.last_seen_at)),
        Column(_("Last report"), lambda agent: moment(agent.last_report_at)),
        Column(
            _("Backlog"), lambda agent: number(agent.states_owed + agent.usage_owed), number=True
        ),
    ),
    order="cluster__centre__name",
    search=("cluster__name", "cluster__centre__name"),
    empty_title=_("No agent yet"),
    empty_text=_("An agent runs inside a centre and pulls work; make an enrolment for a cluster."),
)


def _asked(attempt: Attempt) -> Cell:
    job = attempt.job
    cards = f" · {job.accelerators} × {job.accelerator_model or _('cards')}"
    return plain(f"{job.cores} × CPU · {mib(job.memory_mib)}{cards if job.accelerators else ''}")


def _where(attempt: Attempt) -> Cell:
    centre = attempt.cluster.centre
    return plain(f"{pick(centre.name, centre.name_en)} · {attempt.cluster.name}")


def _who(attempt: Attempt) -> Cell:
    organisation = attempt.job.organisation
    return plain(pick(organisation.name, organisation.name_en))


def why_refused(attempt: Attempt) -> str:
    """What the centre's policy had against it, in the reader's words."""
    facts = attempt.site_refusal_facts | {"centre": attempt.cluster.centre.code}
    return words({"code": attempt.site_refusal, "facts": facts}, short())


SITE_REFUSED = Table[Attempt](
    title=_("Refused by site policy"),
    key="site-refusals",
    columns=(
        Column(_("When"), lambda attempt: moment(attempt.ended_at), "ended_at"),
        Column(_("Cluster"), _where),
        Column(_("Organisation"), _who, "job__organisation__name"),
        Column(_("Asks for"), _asked),
        Column(_("Why"), lambda attempt: plain(why_refused(attempt))),
    ),
    order="-ended_at",
    search=("job__organisation__name", "cluster__centre__name"),
    empty_title=_("Nothing was refused"),
    empty_text=_("A centre says in its agent's site.yaml what it takes."),
)
