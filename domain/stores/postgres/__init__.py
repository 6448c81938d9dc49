"""Django's Postgres backend with a client-side deadline, and what its errors mean."""
