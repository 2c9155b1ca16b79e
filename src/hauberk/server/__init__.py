"""Composition root of the server: settings, wiring, privileges, start and stop."""
