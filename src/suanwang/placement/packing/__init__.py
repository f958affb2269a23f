"""What is behind ``placement.pool``: fragments, the worth of what is left of a card, scores."""
