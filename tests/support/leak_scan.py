"""Searches logs and queue for personal data and secrets of the whole test run."""

import re
from collections.abc import Iterator
from pathlib import Path

import redis

from local.stack import Stack
from tests.support.client import ISSUED_TOKENS
from workers.providers.mailbox import FileMailbox

# Times and process ids have six digits too.
_NOT_A_CODE = re.compile(r'"timestamp": "[^"]*"|\bPID:? *\d+|\bpid[:=] *\d+', re.IGNORECASE)
# Statement logging is enabled during tests that count statements.
_STATEMENTS = re.compile(r" LOG:  (statement|execute .*):| DETAIL:  Parameters:")


def find_leaks(stack: Stack) -> list[str]:
    """Returns where addresses, codes, links or tokens were found."""
    # Not the made-up ones of tests, such as "x": it stands in a binary dump by chance.
    tokens = {token for token in ISSUED_TOKENS if len(token) > 20}
    secrets = set(_secrets(stack.data_dir / "mailbox.jsonl")) | tokens
    codes = {secret for secret in secrets if re.fullmatch(r"\d{6}", secret)}
    leaks = []
    for name, line in _iter_lines(stack):
        # Split at characters that addresses and tokens do not contain.
        if matches := set(re.findall(r"[\w.+@%-]+", line)) & (secrets - codes):
            leaks.append(f"{name}: {matches} in {line[:60]}")
        if find_codes(line) & codes:
            leaks.append(f"{name}: a code in {line[:60]}")
    return leaks


def find_codes(text: str) -> set[str]:
    """Returns the numbers of six digits that may be codes: not the microseconds of a time."""
    return set(re.findall(r"(?<![\w.:-])\d{6}(?![\w.:-])", _NOT_A_CODE.sub("", text)))


def _secrets(mailbox: Path) -> Iterator[str]:
    """Yields the addresses, codes and links of all messages that were sent."""
    for message in FileMailbox(mailbox).list_messages():
        yield message["to"]
        if message["code"]:
            yield message["code"]
        if message["link"]:
            yield message["link"].partition("#")[2]


def _iter_lines(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yields all lines of all logs, and everything in Huey's Redis."""
    for log in (stack.data_dir / "logs").glob("*.log"):
        statement = False
        for line in log.read_text(errors="replace").splitlines():
            # All lines of a statement but the first start with a tab.
            statement = bool(_STATEMENTS.search(line)) or (statement and line.startswith("\t"))
            if not statement:
                yield log.name, line
    with redis.Redis.from_url(stack.environment()["QUEUE_URL"], socket_timeout=5) as queue:
        for key in queue.scan_iter():
            yield "queue", repr(queue.dump(key))
