"""Two instants every calendar knows, in whole seconds."""

from __future__ import annotations

FOREVER = 1 << 62
"""An end that never comes; no sum of instants and durations passes it."""
NEVER = -1
"""The start of what can never start."""
