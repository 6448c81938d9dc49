"""Django's admin for staff. `django.contrib.admin` imports this package, which registers it all."""

from django.apps import apps

from api.admin import events, model_admins, outbox

__all__ = ["events", "model_admins", "outbox"]

if apps.is_installed("huey.contrib.djhuey.stats"):  # HUEY_DASHBOARD
    from api.admin import huey_dashboard

    __all__ += ["huey_dashboard"]
