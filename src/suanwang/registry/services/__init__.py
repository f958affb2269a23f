"""The verbs of the registry: the only writers of its tables, one transaction each."""

from suanwang.registry.services.agents import (
    Door,
    Reported,
    create_enrolment,
    enrol,
    order_drain,
    report_nodes,
    revoke_agent,
    seen,
    told,
)
from suanwang.registry.services.catalogue import load_accelerators, load_divisions
from suanwang.registry.services.centres import (
    close_centre,
    declare_nodes,
    open_cluster,
    register_centre,
    register_cluster,
    report_energy,
    take_energy,
    verify_centre,
)
from suanwang.registry.services.links import (
    Figures,
    Part,
    ask_all,
    ask_measurement,
    give_up,
    parts_of,
    take_measurement,
)
from suanwang.registry.services.prices import set_price
from suanwang.registry.services.surroundings import describe_centre, measure_link

__all__ = [
    "Door",
    "Figures",
    "Part",
    "Reported",
    "ask_all",
    "ask_measurement",
    "close_centre",
    "create_enrolment",
    "declare_nodes",
    "describe_centre",
    "enrol",
    "give_up",
    "load_accelerators",
    "load_divisions",
    "measure_link",
    "open_cluster",
    "order_drain",
    "parts_of",
    "register_centre",
    "register_cluster",
    "report_energy",
    "report_nodes",
    "revoke_agent",
    "seen",
    "set_price",
    "take_energy",
    "take_measurement",
    "told",
    "verify_centre",
]
