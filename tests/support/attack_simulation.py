"""Attackers with many networks, and a thief."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from tests.support.client import sign_up_payload
from tests.support.simulated_people import (
    RIGHTFUL,
    RIGHTFUL_NAME,
    THIEF,
    UNCLAIMED,
    VICTIM,
    People,
    count,
)

_GREEDY_SIGN_UPS = 25  # of one network a day
_HALF_A_DAY = timedelta(hours=12)
_ATTEMPTS = 6  # one more than a code has


@dataclass
class Claim:
    """A session of an attacker who has signed up with an address of another person."""

    network: str
    channel: str
    address: str
    token: str


class Simulation(People):
    """Several days of attacks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._claims: list[Claim] = []
        self.stolen_token = ""

    def sign_up_owner(self) -> str:
        self.stolen_token = super().sign_up_owner()
        return self.stolen_token

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
        self.count_day()
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
            share = n % 100
            if share < 44:
                requests.append(partial(self._request_codes, network, guesses))
            elif share < 58:
                requests.append(partial(self._claim, network, VICTIM, guesses))
            elif share < 86:
                requests.append(partial(self._claim, network, {"email": UNCLAIMED}, guesses))
            else:
                requests += [partial(self.sign_up, network)] * 3
        requests += [self._change_addresses] * 3
        self.run(requests)
        self.time.settle()
        owner = [partial(self.sign_in_owner, channel) for channel in VICTIM]
        # Among the guesses; after the requests, or the owner would have to choose among many codes.
        middle = len(guesses) // 2
        honest: list[Callable[[], Any]] = [*owner, self.sign_up_newcomer]
        self.stolen_token = self.run([*guesses[:middle], *honest, *guesses[middle:]])[middle]

    def _request_codes(self, network: str, guesses: list[Callable[[], None]]) -> None:
        """Requests sign-in codes for both addresses, to guess at them."""
        for channel, address in VICTIM.items():
            response = self.request("POST", network, "sessions/", {channel: address})
            count(self.day.statuses, ("attacker's code request", response.status_code))
            challenge = response.json()["challenge"]
            guesses.append(partial(self._guess_challenge, network, channel, challenge))

    def _guess_challenge(self, network: str, channel: str, challenge: str) -> None:
        body = {"challenge": challenge, "code": self.wrong_code(VICTIM[channel])}
        for _ in range(_ATTEMPTS):
            status = self.request("POST", network, "sessions/confirm/", body).status_code
            count(self.day.statuses, ("guess", status))

    def _claim(
        self, network: str, addresses: dict[str, str], guesses: list[Callable[[], None]]
    ) -> None:
        """Signs up with another person's addresses, to guess at the codes for them."""
        token = self.sign_up(network, **addresses)
        for channel, address in addresses.items():
            claim = Claim(network, channel, address, token)
            self._claims.append(claim)
            guesses.append(partial(self._guess, claim))

    def _resend(self, claim: Claim, guesses: list[Callable[[], None]]) -> None:
        path = f"confirmations/{claim.channel}/resend/"
        response = self.request("POST", claim.network, path, token=claim.token)
        count(self.day.statuses, ("resend", response.status_code))
        if claim.address == UNCLAIMED:
            guesses.append(partial(self._guess, claim))

    def _guess(self, claim: Claim) -> None:
        code = self.wrong_code(claim.address)
        for _ in range(_ATTEMPTS):
            status = self.confirm(claim.network, claim.channel, code, claim.token)
            count(self.day.statuses, ("guess", status))

    def _change_addresses(self) -> None:
        """Changes both addresses of the victim to others, by a stolen session."""
        response = self.change_by_thief({name: sign_up_payload()[name] for name in VICTIM})
        count(self.day.statuses, ("thief's change", response.status_code))
        if response.status_code == 200:
            for address in VICTIM.values():
                count(self.day.needed, f"change notice to {address}", 2)  # one for each channel

    def change_by_thief(self, addresses: dict[str, str]) -> httpx.Response:
        """Changes addresses of the victim by a stolen session."""
        return self.request("PATCH", THIEF, "profile/", addresses, self.stolen_token)
