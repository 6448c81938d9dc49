"""No address, code or token in logs, in the queue, or in what tasks leave behind."""

import json

from tests.support.client import ApiClient, sign_up_payload
from tests.support.leak_scan import find_codes
from tests.support.settings_process import SettingsProcess

LOGGING = """
import django, logging, structlog
django.setup()
for log in (structlog.get_logger("ours"), logging.getLogger("huey"), logging.getLogger("django")):
    try:
        try:
            raise ValueError("Key (email_canonical)=(ada@example.com) already exists")
        except ValueError as error:
            raise RuntimeError("+442079460000") from error
    except RuntimeError:
        log.exception("failed")
"""

PROVOKING = [
    {"email": "not an address"},
    {"phone": "12"},
    {"name": "a\x00b"},
]


def test_logs_and_queue_contain_no_personal_data_or_secrets(
    stack, django_db_access, api: ApiClient
):
    from huey.contrib.djhuey import HUEY

    stack.services["worker"].stop()
    person = api.sign_up()
    queue_content = b"".join(HUEY.storage.enqueued_items())
    assert queue_content, "there is something to look at"
    stack.services["worker"].start()
    person.wait_for_outbox()
    email, sms = person.message("email"), person.message("phone")
    secrets = [*person.body.values(), person.token, email["link"]]
    person.confirm("email", "000000")
    person.confirm("phone", sms["code"])
    for invalid in PROVOKING:
        api.post("/api/v1/signup/", sign_up_payload(email=person.body["email"]) | invalid)
    stack.services["postgres"].stop()
    api.post("/api/v1/signup/", sign_up_payload(email=person.body["email"]))
    stack.services["postgres"].start()
    secrets = [s for s in secrets if isinstance(s, str) and s not in ("Ada", "Lovelace")]
    logs = {path.name: path.read_text() for path in (stack.data_dir / "logs").glob("*.log")}
    assert "postgres_unavailable" in logs["write.log"]
    for secret in [*secrets, email["link"].partition("#")[2]]:
        assert secret.encode() not in queue_content
        assert [name for name, text in logs.items() if secret in text] == []
    codes = {email["code"], sms["code"]}
    assert [name for name, text in logs.items() if find_codes(text) & codes] == []
    assert find_codes(repr(queue_content)) & codes == set()


def test_exception_is_logged_by_type_and_lines_without_its_text(load_settings: SettingsProcess):
    result = load_settings(LOGGING, DJANGO_SETTINGS_MODULE="settings.test")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["exception"]["types"] for line in lines] == ["RuntimeError from ValueError"] * 3
    assert all(line["exception"]["frames"] for line in lines)
    assert "ada@example.com" not in result.stderr
    assert "+442079460000" not in result.stderr
