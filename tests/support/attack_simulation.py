"""Attackers with many networks, a thief and the owner of the addresses that they attack.

Everything is counted as clients and owners of addresses see it: by responses, and by messages in
mailboxes. Only the length of the code that a guess was at is read from Postgres.
"""

import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
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
_GREEDY_SIGN_UPS = 25  # of one network a day
_HALF_A_DAY = timedelta(hours=12)
_ATTEMPTS = 6  # one more than a code has
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
    needed: Counter[str] = field(default_factory=Counter)  # messages that somebody waited for
    received: Counter[str] = field(default_factory=Counter)


_lock = threading.Lock()


def _count[Key](counter: Counter[Key], key: Key, times: int = 1) -> None:
    """Counts, from any thread."""
    with _lock:
        counter[key] += times


@dataclass
class Claim:
    """A session of an attacker who has signed up with an address of another person."""

    network: str
    channel: str
    address: str
    token: str


class Simulation:
    """Several days of one service, whose mailbox and time it controls."""

    def __init__(self, stack: Stack, http: httpx.Client, connection: Any) -> None:
        self.stack = stack
        self._http = http
        self._connection = connection
        self.time = SimulatedTime(connection)
        self._mailbox = FileMailbox(stack.data_dir / "mailbox.jsonl")
        self._pool = ThreadPoolExecutor(8)
        self._numbers = itertools.count(100_000)
        self._networks_by_number: dict[str, str] = {}
        self._claims: list[Claim] = []
        self.stolen_token = ""
        self._messages_seen = 0
        self.day = Day()
        self.days: list[Day] = []

    # --- the owner, and a newcomer -------------------------------------------------------------

    def sign_up_owner(self) -> None:
        """Signs the owner up from home, and confirms both addresses."""
        self.stolen_token = token = self.sign_up(HOME, **VICTIM)
        for channel, address in VICTIM.items():
            assert self.confirm(HOME, channel, self.wait_for_code(address), token) == 200

    def sign_in_owner(self, channel: str) -> str:
        """Signs the owner in from home; returns the token."""
        _count(self.day.needed, "owner's sign-in")
        codes = self.codes(VICTIM[channel])
        body = {channel: VICTIM[channel]}
        challenge = self.request("POST", HOME, "sessions/", body).json()["challenge"]
        code = self.wait_for_code(VICTIM[channel], len(codes))
        _count(self.day.received, "owner's sign-in")
        body = {"challenge": challenge, "code": code}
        response = self.request("POST", HOME, "sessions/confirm/", body)
        _count(self.day.statuses, ("owner's sign-in", response.status_code))
        return str(response.json()["session"]["token"])

    def sign_up_newcomer(self, network: str = NEWCOMER) -> tuple[str, dict[str, Any]]:
        """Signs a new person up whose number has the attacked prefix, and confirms their e-mail
        address; returns token and profile.
        """
        profile = sign_up_payload(phone=self.make_number())
        token = self.sign_up(network, **profile)
        _count(self.day.needed, "newcomer's e-mail")
        code = self.wait_for_code(profile["email"])
        _count(self.day.received, "newcomer's e-mail")
        status = self.confirm(network, "email", code, token)
        _count(self.day.statuses, ("newcomer's confirmation", status))
        return token, profile

    # --- attackers -----------------------------------------------------------------------------

    def run_day(self, numbers: Iterable[int]) -> None:
        """Runs a day on which the networks with these numbers attack; appends what was counted to
        `days`.
        """
        networks = [(n, f"198.18.{n >> 8}.{n & 255}") for n in numbers]
        more = [partial(self.sign_up, networks[0][1])] * _GREEDY_SIGN_UPS
        if not self.days:
            more.append(partial(self.sign_up, RIGHTFUL, email=UNCLAIMED, name=RIGHTFUL_NAME))
        self._run_round(networks[::2], more)
        self.time.advance(_HALF_A_DAY)
        self._run_round(networks[1::2], [])
        self._count_day()
        self.time.advance(_HALF_A_DAY)

    def _run_round(
        self, networks: list[tuple[int, str]], more: Sequence[Callable[[], Any]]
    ) -> None:
        guesses: list[Callable[[], None]] = []
        requests: list[Callable[[], Any]] = [
            partial(self._resend, claim, guesses) for claim in self._claims
        ] + list(more)
        self._claims = []
        for n, network in networks:
            share, channel = n % 100, ("email", "phone")[n // 4 % 2]
            if share < 44:
                requests.append(partial(self._request_codes, network, channel, guesses))
            elif share < 58:
                requests.append(partial(self._claim, network, VICTIM, channel, guesses))
            elif share < 86:
                unclaimed = {"email": UNCLAIMED}
                requests.append(partial(self._claim, network, unclaimed, "email", guesses))
            else:
                requests += [partial(self.sign_up, network)] * 3
        requests += [self._change_addresses] * 3
        self.run(requests)
        self.time.settle()
        owner = [partial(self.sign_in_owner, channel) for channel in VICTIM]
        # Concurrently; after the requests, or the owner would have to choose among many codes.
        *_, token, _ = self.run([*guesses, self.sign_up_newcomer, *owner])
        self.stolen_token = token

    def _request_codes(self, network: str, guessed: str, guesses: list[Callable[[], None]]) -> None:
        """Requests sign-in codes for both addresses; they guess at one of them."""
        for channel, address in VICTIM.items():
            response = self.request("POST", network, "sessions/", {channel: address})
            _count(self.day.statuses, ("attacker's code request", response.status_code))
            if channel == guessed:
                challenge = response.json()["challenge"]
                guesses.append(partial(self._guess_challenge, network, channel, challenge))

    def _guess_challenge(self, network: str, channel: str, challenge: str) -> None:
        body = {"challenge": challenge, "code": self._wrong_code(VICTIM[channel])}
        for _ in range(_ATTEMPTS):
            status = self.request("POST", network, "sessions/confirm/", body).status_code
            _count(self.day.statuses, ("guess", status))

    def _claim(
        self,
        network: str,
        addresses: dict[str, str],
        channel: str,
        guesses: list[Callable[[], None]],
    ) -> None:
        """Signs up with another person's addresses; guesses at the code for one of them."""
        token = self.sign_up(network, **addresses)
        claim = Claim(network, channel, addresses[channel], token)
        self._claims.append(claim)
        guesses.append(partial(self._guess, claim))

    def _resend(self, claim: Claim, guesses: list[Callable[[], None]]) -> None:
        path = f"confirmations/{claim.channel}/resend/"
        response = self.request("POST", claim.network, path, token=claim.token)
        _count(self.day.statuses, ("resend", response.status_code))
        if claim.address == UNCLAIMED:
            guesses.append(partial(self._guess, claim))

    def _guess(self, claim: Claim) -> None:
        code = self._wrong_code(claim.address)
        for _ in range(_ATTEMPTS):
            status = self.confirm(claim.network, claim.channel, code, claim.token)
            _count(self.day.statuses, ("guess", status))

    def _change_addresses(self) -> None:
        """Changes both addresses of the victim to others, by a stolen session."""
        response = self.change_by_thief({name: sign_up_payload()[name] for name in VICTIM})
        _count(self.day.statuses, ("thief's change", response.status_code))
        if response.status_code == 200:
            for address in VICTIM.values():
                _count(self.day.needed, f"change notice to {address}", 2)  # one for each channel

    def change_by_thief(self, addresses: dict[str, str]) -> httpx.Response:
        """Changes addresses of the victim by a stolen session."""
        return self.request("PATCH", THIEF, "profile/", addresses, self.stolen_token)

    # --- requests ------------------------------------------------------------------------------

    def run(self, tasks: Iterable[Callable[[], Any]]) -> list[Any]:
        """Runs tasks concurrently; returns their results in order."""
        return list(self._pool.map(lambda task: task(), tasks))

    def request(
        self, method: str, network: str, path: str, body: Any = None, token: str = ""
    ) -> httpx.Response:
        headers = {"X-Forwarded-For": network}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self._http.request(method, f"/api/v1/{path}", json=body, headers=headers)

    def sign_up(self, network: str, **fields: Any) -> str:
        """Signs up, with a new number of the attacked prefix by default; returns the token."""
        body = sign_up_payload(**{"phone": self.make_number()} | fields)
        if body["phone"] != VICTIM["phone"]:
            self._networks_by_number[body["phone"]] = network
        response = self.request("POST", network, "signup/", body)
        _count(self.day.statuses, ("sign-up", response.status_code))
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

    def _wrong_code(self, to: str) -> str:
        codes = self.codes(to)
        return next(code for code in ("000000", "111111") if code not in codes)

    def _count_day(self) -> None:
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
