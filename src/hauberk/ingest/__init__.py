"""Envelope -> verify -> inbox -> acknowledge -> state and event lake."""
