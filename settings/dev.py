"""Development: what `make run` starts. Nothing leaves the machine; `DEBUG` is off unless asked."""

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import SECRET_KEY

SECRET_KEY = SECRET_KEY or "development-only-secret-key-that-production-refuses"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
DEV_MAILBOX_PAGE = True
