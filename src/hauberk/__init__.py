"""Hauberk: unified workload protection for machines, containers and clusters."""

__version__ = "0.1.0"
