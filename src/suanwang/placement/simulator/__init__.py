"""Cities and workloads played through the scheduling core."""
