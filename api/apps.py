"""The Django apps of the HTTP edge: its templates and commands, and the admin."""

from django.apps import AppConfig
from django.contrib.admin import apps


class ApiConfig(AppConfig):
    name = "api"


class AdminConfig(apps.AdminConfig):
    """Django's admin, with our site: not a module of `api.admin`, which registers models with it as
    it is imported.
    """

    default = False  # of the app `api`
    default_site = "api.admin_site.AdminSite"
