"""docs/security.md names tests and settings that exist."""

import re
from pathlib import Path

from docs import settings_table

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_security_page_names_exists():
    names = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)
    defined = {
        (path.name, test)
        for path in ROOT.glob("tests/**/test_*.py")
        for test in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    missing = sorted(set(names) - defined)
    assert missing == []
    assert len(names) > 50


def test_every_bound_of_the_security_page_names_its_setting_and_test():
    """In the table of threats: settings, or "none", and at least one test."""
    known = {setting.name for setting in settings_table.settings()}
    table = TEXT.partition("## Threats and bounds")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        *_, settings, tests = row
        names = re.findall(r"`([A-Z_]+)`", settings)
        assert settings == "none" or names, row
        assert set(names) <= known, row
        assert re.search(r"`test_\w+\.py::test_\w+`", tests), row


def test_defaults_that_the_security_page_states_are_those_of_production():
    """Each figure is in the row of its setting; a changed default changes the page."""
    defaults = {setting.name: setting.default for setting in settings_table.settings()}
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    stated = {
        "MESSAGES_PER_DAY": "20",
        "MESSAGES_PER_NETWORK_PER_DAY": "5",
        "MESSAGE_COOLDOWN_SECONDS": "60",
        "SMS_PER_NETWORK_PER_DAY": "20",
        "SMS_PER_PREFIX_PER_DAY": "500",
        "SMS_PER_DAY": "5000",
        "SMS_TO_OWNERS_PER_DAY": "5000",
        "SMS_CONVERSION_MIN_SAMPLE": "100",
        "SESSION_LIFETIME_DAYS": "30",
        "SESSION_MAX_LIFETIME_DAYS": "365",
        "RATE_LIMIT_SIGN_UP": "10/minute",
        "RATE_LIMIT_SIGN_IN": "10/minute",
        "RATE_LIMIT_CONFIRMATION": "30/minute",
        "RATE_LIMIT_ANONYMOUS": "10000/minute",
        "RATE_LIMIT_SITE_FACTOR": "10",
    }
    for name, default in stated.items():
        assert defaults[name].replace("_", "").replace(",", "") == default, name
        number = f"{int(default.partition('/')[0]):,}"
        figure = re.compile(rf"(?<![\d,]){number}(?![\d,])")
        assert any(f"`{name}`" in row and figure.search(row) for row in rows), name
