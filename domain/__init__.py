"""The domain: model and commands, and their storage: Postgres and the profile Redis."""
