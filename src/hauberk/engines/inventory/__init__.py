"""Inventory: deltas, file ownership, the relation graph, role tags, and counts by subclass."""
