"""The Django app of the models."""

from django.apps import AppConfig


class PostgresConfig(AppConfig):
    name = "domain.stores"
    label = "stores"
    verbose_name = "Rollcall"
