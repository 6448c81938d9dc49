"""The Django app of the HTTP edge: its templates and commands."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
