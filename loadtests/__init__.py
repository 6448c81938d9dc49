"""Load for Rollcall: what `make load` runs."""

# What a load fills is thrown away, and no message leaves the machine: not one of these is taken
# from the environment.
ITS_OWN = {
    **dict.fromkeys(["DATABASE_URL", "REDIS_URL", "QUEUE_URL", "MESSAGE_BACKEND"], ""),
    "DJANGO_SETTINGS_MODULE": "settings.dev",
}
