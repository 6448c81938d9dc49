"""Users of a Redis without all permissions, as managed services give them."""

from redis import Redis

from tests.support.replicated_redis import Replicated

# What docs/operations.md names.
ALLOWED = "~* &* +@all -@dangerous +info"


def add_user(redis: Replicated, name: str, rules: str) -> None:
    """Adds a user with the password "pass", or replaces its rules, on both servers."""
    for server in redis.servers:
        with Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", name, "reset", "on", ">pass", *rules.split())


def user_url(redis: Replicated, name: str) -> str:
    """Returns the URL for clients that are this user."""
    return redis.url.replace("//", f"//{name}:pass@")
