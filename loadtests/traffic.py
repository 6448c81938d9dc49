"""The requests of a load: reads of random people's profiles, and sign-ups."""

import json
import random
from pathlib import Path

from loadtests.http_client import Connection, Origin
from loadtests.people import Person, read_people, sign_up_payload
from loadtests.schedule import SIGN_UP

RIGHT_OUTCOMES = ("200", "201")
UNAVAILABLE = "503"


class Traffic:
    """The people of a service who are read, from a file (see `read_people`)."""

    def __init__(self, origin: Origin, people: Path) -> None:
        self._origin = origin
        self._people = [self._readable(person) for person in read_people(people)]

    def send(self, connection: Connection, kind: str) -> str:
        """Sends a request; returns its outcome: the status, or what was wrong with the response."""
        try:
            return self._sign_up(connection) if kind == SIGN_UP else self._read(connection)
        except TimeoutError:
            return "timeout"
        except OSError:
            return "no response"
        except (ValueError, LookupError, TypeError):
            connection.close()
            return "no HTTP, or no session"

    def _read(self, connection: Connection) -> str:
        request, email = random.choice(self._people)
        status, body = connection.request(request)
        return "wrong profile" if status == 200 and email not in body else str(status)

    def _sign_up(self, connection: Connection) -> str:
        """Signs up a person, who is read from now on in place of another one."""
        payload = sign_up_payload()
        body = json.dumps(payload)
        head = f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {self._origin.host_header}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        status, response = connection.request((head + body).encode())
        if status == 201:
            person = Person(json.loads(response)["session"]["token"], payload["email"])
            self._people[random.randrange(len(self._people))] = self._readable(person)
        return str(status)

    def _readable(self, person: Person) -> tuple[bytes, bytes]:
        """Returns a request of a person's profile, and what only this profile has in it."""
        head = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {self._origin.host_header}\r\n"
        head += f"Authorization: Bearer {person.token}\r\n\r\n"
        return head.encode(), f'"{person.email}"'.encode() if person.email else b""
