"""Schema upgrades of the SQL state, run at start."""
