"""What `make run` prints when the service is ready, and its sample person."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from local.secret_files import write_secret
from local.stack import Stack

# example.com and these numbers are reserved for examples (RFC 2606, Ofcom).
_SAMPLE = {
    "name": "Grace",
    "surname": "Hopper",
    "email": "grace@example.com",
    "phone": "+442079460001",
    "hobbies": ["compilers"],
}
_PURPOSES = {
    "read": "profiles, from Redis; passes all other requests on to write",
    "write": "Django: sign-up and all other changes, admin, pages",
    "worker": "Huey: sends messages, refreshes profiles",
    "relay": "finds what is due in Postgres, refills the profile Redis",
    "postgres": "people, sessions, outbox: the source of truth",
    "profiles": "Valkey: every profile, ready to be sent",
    "queue": "Valkey: Huey's queue",
}
_VARIABLES = {"postgres": "DATABASE_URL", "profiles": "REDIS_URL", "queue": "QUEUE_URL"}


def render_greeting(stack: Stack) -> str:
    """Returns what runs where, commands to try, and links. It has no secret, only their files."""
    url, data = stack.url, stack.data_dir
    rows = [("process", "pid", "where", "what"), *_list_processes(stack)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    )
    return f"""
{table}

Data is in {data}, a log of each process in {data}/logs.

Try in another terminal:
{_render_commands(stack)}

Open in a browser:
  {url}/api/v1/docs/  the API, to try out
  {url}/dev/mailbox/  every message that would have been sent
  {url}/admin/  people, outbox, Huey's dashboard: user staff, password in {data}/staff-password
  {url}/metrics  for Prometheus

`make manage ARGS="backends make shop"` runs a command of manage.py on all this.
Ctrl-C stops everything; the data is kept. `make doctor` says what is wrong with a machine."""


def _list_processes(stack: Stack) -> list[tuple[str, str, str, str]]:
    environment = stack.environment()
    places = {"read": stack.url, "write": environment["WRITE_UPSTREAM"]}
    for name, variable in _VARIABLES.items():
        url = urlsplit(environment.get(variable, ""))
        places[name] = url.netloc.rpartition("@")[2]  # without the password
    names = [name for name in _PURPOSES if name in stack.services or name in _VARIABLES]
    return [
        (
            name,
            str(stack.services[name].pid) if name in stack.services else "-",
            places.get(name, "-"),
            _PURPOSES[name],
        )
        for name in names
    ]


def _render_commands(stack: Stack) -> str:
    url = stack.url
    header = ensure_sample_person(stack)
    if header is None:
        body = '{"name": "Ada", "surname": "Lovelace", "email": "ada@example.com", '
        body += '"phone": "+442079460000", "hobbies": ["engines"]}'
        post = f"curl -iw '\\n' {url}/api/v1/signup/ -H 'Content-Type: application/json'"
        return f"  {post} -d '{body}'\n  curl -iw '\\n' {url}/readyz"
    token = f"-H {shlex.quote(f'@{header}')}"
    return f"""\
  curl -iw '\\n' {url}/api/v1/profile/ {token}
  curl -iw '\\n' -X PATCH {url}/api/v1/profile/ {token} \\
    -H 'Content-Type: application/json' -d '{{"hobbies": ["compilers", "sailing"]}}'
  curl -sw '\\n' '{url}/dev/mailbox.json?to={_SAMPLE["email"]}'
The file holds the token of {_SAMPLE["name"]} {_SAMPLE["surname"]}, a sample person."""


def ensure_sample_person(stack: Stack) -> Path | None:
    """Returns the file (mode 0600) with the `Authorization` header of a sample person, who is made
    if there is none, or if the session has ended.

    Returns None, and creates no person, outside of `settings.dev`, if messages would really be
    sent, or if the sign-up is refused.
    """
    environment = stack.environment()
    if environment["DJANGO_SETTINGS_MODULE"] != "settings.dev":
        return None
    if environment.get("MESSAGE_BACKEND", "mailbox").lower() != "mailbox":
        return None
    path = stack.data_dir / "sample-person"
    try:
        with httpx.Client(base_url=stack.url, timeout=5, trust_env=False) as http:
            if path.exists():
                _, _, token = path.read_text().strip().partition(": ")
                headers = {"Authorization": token}
                if http.get("/api/v1/profile/", headers=headers).status_code != 401:
                    return path
            response = http.post("/api/v1/signup/", json=_SAMPLE)
            if response.status_code != 201:
                return None
    except httpx.HTTPError:
        return None
    write_secret(path, f"Authorization: Bearer {response.json()['session']['token']}")
    return path
