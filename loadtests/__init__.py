"""Load for Rollcall: what `make load` runs."""
