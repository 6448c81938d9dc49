"""The Django app of the models."""

from django.apps import AppConfig


class PostgresConfig(AppConfig):
    name = "domain.postgres"
    label = "rollcall"
    verbose_name = "Rollcall"
