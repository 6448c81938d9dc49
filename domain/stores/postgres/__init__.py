"""Django's Postgres backend with a client-side deadline, and the mapping of its errors."""
