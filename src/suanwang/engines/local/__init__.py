"""Jobs as processes of this machine: see the room's README."""
