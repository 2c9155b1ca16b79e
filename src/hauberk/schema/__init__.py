"""Frozen structs named after OCSF, and the asset taxonomy. Imports nothing of Hauberk."""
