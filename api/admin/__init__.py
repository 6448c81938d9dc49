"""Django's admin for staff. `django.contrib.admin` imports this package, which registers it all."""

from api.admin import model_admins, outbox

__all__ = ["model_admins", "outbox"]
