"""Users of a Redis without all permissions, as managed services give them."""

from redis import Redis

from local.servers import Valkey

# What docs/operations.md names.
ALLOWED = "~* &* +@all -@dangerous +info"


def add_user(server: Valkey, name: str, rules: str) -> None:
    """Adds a user with the password "pass", or replaces its rules."""
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", name, "reset", "on", ">pass", *rules.split())


def user_url(server: Valkey, name: str) -> str:
    """Returns the URL for clients that are this user."""
    return server.url.replace("//", f"//{name}:pass@")
