"""The load test that `make load` runs."""

# A load test uses throw-away servers and sends no message: it ignores these variables of the
# environment.
ISOLATED_ENV = {
    **dict.fromkeys(["DATABASE_URL", "REDIS_URL", "QUEUE_URL", "MESSAGE_BACKEND"], ""),
    "DJANGO_SETTINGS_MODULE": "settings.dev",
}
