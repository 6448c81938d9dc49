"""Where people are kept: the only package that knows Postgres and Redis."""
