"""The README: its quick start works, and it names what exists."""

import re
import subprocess
from functools import partial
from pathlib import Path

from tests.support.client import ApiClient, wait_until
from tests.support.settings_process import PRODUCTION_ENV

README = Path(__file__).parents[2] / "README.md"


def test_quick_start_of_the_readme_works(stack, api: ApiClient):
    _, _, rest = README.read_text().partition("<!-- walk: a test runs these lines -->\n```sh\n")
    lines = rest.partition("```")[0].replace("http://127.0.0.1:8000", stack.url).splitlines()
    # People read slowly, and so does the test: the messages need a moment.
    signing_up = next(n for n, line in enumerate(lines) if line.startswith("ANSWER="))
    shell = subprocess.Popen(
        ["bash", "-e"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdin is not None
    with shell:
        shell.stdin.write("\n".join(lines[: signing_up + 1]) + "\n")
        shell.stdin.flush()
        for address in ("ada@example.com", "+442079460000"):
            wait_until(partial(api.mailbox, address))
        output, _ = shell.communicate("\n".join(lines[signing_up + 1 :]) + "\n", timeout=60)
    assert shell.returncode == 0
    profile = output[output.rindex("{") :]
    assert '"email_verified":true,"phone_verified":true' in profile


def test_readme_names_every_required_production_setting():
    named = set(re.findall(r"`([A-Z_]{5,})", README.read_text()))
    assert PRODUCTION_ENV.keys() - {"DJANGO_SETTINGS_MODULE"} <= named


def test_readme_names_every_error_code(django_db_access):
    from api.problem_details import PROBLEMS

    text = README.read_text()
    assert [word for word in PROBLEMS if f"`{word}`" not in text] == []
