"""The Django app of the workers: its tasks and the relay command."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
