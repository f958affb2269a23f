"""Writes the nodes of a report: one statement for one changed node as for twenty thousand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection


def put(cluster_id: UUID, nodes: Sequence[Mapping[str, Any]]) -> int:
    """Make the books say what these nodes are, each given by all its columns but ``id`` and
    ``cluster_id``; a name the cluster has is overwritten. How many of them were not up before.
    """
    if not nodes:
        return 0
    said = json.dumps(nodes, default=str)
    names = [node["name"] for node in nodes]
    with connection.cursor() as cursor:
        cursor.execute(_put(tuple(nodes[0])), [cluster_id, names, cluster_id, said])
        (were_up,) = cursor.fetchone()
    return len(nodes) - int(were_up)


@cache
def _put(columns: tuple[str, ...]) -> str:
    """PostgreSQL reads the types off the table; the names of columns are this program's own."""
    named = ", ".join(columns)
    written = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "name")
    return f"""
        WITH before AS (
            SELECT count(*) AS up FROM registry_node
             WHERE cluster_id = %s AND name = ANY(%s) AND up),
        put AS (
            INSERT INTO registry_node (cluster_id, {named})
            SELECT %s, {named} FROM json_populate_recordset(NULL::registry_node, %s)
            ON CONFLICT (cluster_id, name) DO UPDATE SET {written})
        SELECT up FROM before
    """  # noqa: S608
