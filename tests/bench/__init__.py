"""Figures of the budgets: `make bench`. Not run by `make test`."""
