"""Django's Postgres backend and Peewee's, on connections with a client-side deadline."""
