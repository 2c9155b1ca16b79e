"""Builds the self-contained agent package."""
