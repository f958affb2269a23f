"""Jobs on a Ray cluster, through the Jobs API of its dashboard: see the room's README."""
