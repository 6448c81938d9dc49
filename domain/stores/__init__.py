"""Storage: the only package that uses Postgres and Redis."""
