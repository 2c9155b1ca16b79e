"""Composition root of the agent: wiring, schedule, budget. No logic of its own."""
