"""Replays of real and made-up workloads through the scheduling core."""
