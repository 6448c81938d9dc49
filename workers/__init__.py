"""Background work: Huey's tasks and the relay. The outbox in Postgres is authoritative."""
