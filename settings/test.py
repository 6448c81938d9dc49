"""Tests: the development settings, with the dashboard off unless a test needs it."""

import os

os.environ.setdefault("HUEY_DASHBOARD", "false")

from settings.dev import *  # noqa: F403  # after the default above, which base.py reads

# Django's own takes half a second of CPU, and the tests log in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
