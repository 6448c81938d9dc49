"""The Django app that owns the tables."""

from django.apps import AppConfig


class PostgresConfig(AppConfig):
    name = "domain.stores"
    label = "stores"
    verbose_name = "Rollcall"
