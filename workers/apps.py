"""The Django app of the workers: its tasks, commands, and the check of messages."""

from importlib import import_module

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        import_module("workers.messages.checks")
