"""The verbs of the registry: the only writers of its tables, one transaction each."""

from suanwang.registry.services.agents import (
    create_enrolment,
    enrol,
    report_nodes,
    revoke_agent,
    seen,
)
from suanwang.registry.services.catalogue import load_accelerators, load_divisions
from suanwang.registry.services.centres import (
    close_centre,
    declare_nodes,
    open_cluster,
    register_centre,
    register_cluster,
    report_energy,
    verify_centre,
)
from suanwang.registry.services.prices import set_price
from suanwang.registry.services.surroundings import describe_centre, measure_link

__all__ = [
    "close_centre",
    "create_enrolment",
    "declare_nodes",
    "describe_centre",
    "enrol",
    "load_accelerators",
    "load_divisions",
    "measure_link",
    "open_cluster",
    "register_centre",
    "register_cluster",
    "report_energy",
    "report_nodes",
    "revoke_agent",
    "seen",
    "set_price",
    "verify_centre",
]
