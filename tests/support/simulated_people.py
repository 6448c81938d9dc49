"""People of a service whose time is simulated: the owner of the addresses that are attacked, and
newcomers.

Everything is counted as clients and owners of addresses see it: by responses, and by messages in
mailboxes. Only the length of the code that a guess was at is read from Postgres.
"""

import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from local.stack import Stack
from tests.support.client import sign_up_payload, wait_until
from tests.support.simulated_time import SimulatedTime
from workers.providers.mailbox import FileMailbox

PREFIX = "+34612"  # of the victim's number, and of those that text messages are pumped to
VICTIM = {"email": "victim@example.com", "phone": f"{PREFIX}000001"}
UNCLAIMED = "unclaimed@example.com"
RIGHTFUL_NAME = "Rightful"  # of the person whose address `UNCLAIMED` is
HOME, THIEF, NEWCOMER, RIGHTFUL = (f"203.0.113.{n}" for n in range(1, 5))  # networks
# What a message is for, by words in its text; the first that matches.
_PURPOSES = {
    "sign-in": "to sign in at|sign-in code",
    "change notice": "is to have another",
    "notice": "yours already|belongs to your account already",
    "confirmation": "",
}
_SUM_GUESSES = """
    SELECT code_length, sum(attempts)::int FROM (
        SELECT code_length, attempts, first_attempted_at FROM rollcall_signinchallenge
        JOIN rollcall_person AS person ON person.id = person_id
        WHERE person.{channel} = %(address)s AND channel = '{channel}' AND NOT from_known_network
        UNION ALL
        SELECT code_length, attempts, first_attempted_at FROM rollcall_confirmation
        WHERE address = %(address)s AND confirmed_at IS NULL
    ) AS codes
    WHERE code_length IS NOT NULL AND first_attempted_at > now() - interval '24 hours'
    GROUP BY code_length
"""


@dataclass
class Day:
    """What was counted in a day."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by what was tried
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)  # by address and purpose
    sms: Counter[str] = field(default_factory=Counter)  # by network that asked for a sign-up
    sms_total: int = 0
    sms_of_sign_ups: int = 0
    guesses: dict[str, dict[int, int]] = field(default_factory=dict)  # by address and code length
    needed: Counter[str] = field(default_factory=Counter)  # messages that a person waited for
    received: Counter[str] = field(default_factory=Counter)


_lock = threading.Lock()


def count[Key](counter: Counter[Key], key: Key, times: int = 1) -> None:
    """Counts, from any thread."""
    with _lock:
        counter[key] += times


class People:
    """Those who use one service honestly, its mailbox and its time."""

    def __init__(self, stack: Stack, http: httpx.Client, connection: Any) -> None:
        self.stack = stack
        self._http = http
        self._connection = connection
        self.time = SimulatedTime(connection)
        self._mailbox = FileMailbox(stack.data_dir / "mailbox.jsonl")
        self._pool = ThreadPoolExecutor(8)
        self._numbers = itertools.count(100_000)
        self._networks_by_number: dict[str, str] = {}
        self._messages_seen = 0
        self.day = Day()
        self.days: list[Day] = []

    # --- the owner, and a newcomer -------------------------------------------------------------

    def sign_up_owner(self) -> str:
        """Signs the owner up from home, and confirms both addresses; returns the token."""
        token = self.sign_up(HOME, **VICTIM)
        for channel, address in VICTIM.items():
            assert self.confirm(HOME, channel, self.wait_for_code(address), token) == 200
        return token

    def sign_in_owner(self, channel: str) -> str:
        """Signs the owner in from home; returns the token."""
        count(self.day.needed, "owner's sign-in")
        codes = self.codes(VICTIM[channel])
        body = {channel: VICTIM[channel]}
        challenge = self.request("POST", HOME, "sessions/", body).json()["challenge"]
        code = self.wait_for_code(VICTIM[channel], len(codes))
        count(self.day.received, "owner's sign-in")
        body = {"challenge": challenge, "code": code}
        response = self.request("POST", HOME, "sessions/confirm/", body)
        count(self.day.statuses, ("owner's sign-in", response.status_code))
        return str(response.json()["session"]["token"])

    def sign_up_newcomer(self, network: str = NEWCOMER) -> tuple[str, dict[str, Any]]:
        """Signs a new person up whose number has the attacked prefix, and confirms their e-mail
        address; returns token and profile.
        """
        profile = sign_up_payload(phone=self.make_number())
        token = self.sign_up(network, **profile)
        count(self.day.needed, "newcomer's e-mail")
        code = self.wait_for_code(profile["email"])
        count(self.day.received, "newcomer's e-mail")
        status = self.confirm(network, "email", code, token)
        count(self.day.statuses, ("newcomer's confirmation", status))
        return token, profile

    # --- requests ------------------------------------------------------------------------------

    def run(self, tasks: Iterable[Callable[[], Any]]) -> list[Any]:
        """Runs tasks concurrently; returns their results in order."""
        return list(self._pool.map(lambda task: task(), tasks))

    def request(
        self, method: str, network: str, path: str, body: Any = None, token: str = ""
    ) -> httpx.Response:
        """Sends a request from a network; again if the service is busy, as the machine may be."""
        headers = {"X-Forwarded-For": network}
        if token:
            headers["Authorization"] = f"Bearer {token}"

        def send() -> httpx.Response | None:
            response = self._http.request(method, f"/api/v1/{path}", json=body, headers=headers)
            return None if response.status_code == 503 else response

        response = wait_until(send)
        assert response is not None
        return response

    def sign_up(self, network: str, **fields: Any) -> str:
        """Signs up, with a new number of the attacked prefix by default; returns the token."""
        body = sign_up_payload(**{"phone": self.make_number()} | fields)
        if body["phone"] != VICTIM["phone"]:
            self._networks_by_number[body["phone"]] = network
        response = self.request("POST", network, "signup/", body)
        count(self.day.statuses, ("sign-up", response.status_code))
        assert response.status_code == 201, response.text
        return str(response.json()["session"]["token"])

    def confirm(self, network: str, channel: str, code: str, token: str) -> int:
        """Enters a code; returns the status."""
        path = f"confirmations/{channel}/"
        return self.request("POST", network, path, {"code": code}, token).status_code

    def make_number(self) -> str:
        return f"{PREFIX}{next(self._numbers)}"

    # --- what arrives --------------------------------------------------------------------------

    def messages(self, to: str) -> list[dict[str, Any]]:
        """Returns the messages that an address has received, the newest first."""
        return self._mailbox.list_messages(to)

    def codes(self, to: str) -> list[str]:
        """Returns the codes that an address has received, the newest first."""
        return [message["code"] for message in self.messages(to) if message["code"]]

    def wait_for_code(self, to: str, known: int = 0) -> str:
        """Returns the newest code, once there are more than `known`."""
        return wait_until(lambda: self.codes(to)[: -known or None])[0]

    def wrong_code(self, to: str) -> str:
        codes = self.codes(to)
        return next(code for code in ("000000", "111111") if code not in codes)

    def count_day(self) -> None:
        day, self.day = self.day, Day()
        messages = self._mailbox.list_messages()
        for message in messages[: len(messages) - self._messages_seen]:
            to, text = message["to"], message["text"]
            purpose = next(name for name, words in _PURPOSES.items() if re.search(words, text))
            day.messages[to, purpose] += 1
            if message["channel"] == "phone":
                day.sms_total += 1
                if network := self._networks_by_number.get(to):
                    day.sms_of_sign_ups += 1
                    day.sms[network] += 1
            if purpose == "change notice":
                day.received[f"change notice to {to}"] += 1
        self._messages_seen = len(messages)
        for channel, address in (*VICTIM.items(), ("email", UNCLAIMED)):
            sql = _SUM_GUESSES.format(channel=channel)
            day.guesses[address] = dict(self._connection.execute(sql, {"address": address}))
        self.days.append(day)
