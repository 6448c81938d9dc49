"""Background work: Huey is the pool and the wake-up, the outbox in Postgres is the truth."""
