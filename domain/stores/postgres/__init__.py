"""Django's Postgres backend, made cheaper for short requests: see `base`."""
