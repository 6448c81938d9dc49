"""The examples for clients are run against the service, as they are in the documentation."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import Stack

PAGES = Path(__file__).parents[2] / "docs" / "clients"


def read_blocks(page: str, language: str) -> str:
    """Returns the code of a page: its blocks in a language, one after another."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.M | re.S)
    assert len(blocks) > 5
    return "\n".join(blocks)


def run_example(stack: Stack, tmp_path: Path, *argv: str) -> str:
    env = os.environ | {"BASE": stack.url}
    run = subprocess.run(
        argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_example_with_curl(stack: Stack, tmp_path: Path):
    script = tmp_path / "example.sh"
    script.write_text(f"set -eu\n{read_blocks('curl.md', 'sh')}")
    output = run_example(stack, tmp_path, "sh", str(script))
    for text in (
        '{"email_verified":true}',
        '{"phone_verified":true}',
        "HTTP/1.1 200 OK",
        "}304\n",
        '"hobbies":["poetry"]',
        '"code":"precondition_failed"',
        '"current":true',
        '"code":"invalid_token"',
        '"code":"validation_failed"',
    ):
        assert text in output, text
    assert "chess" not in output


def test_example_in_python(stack: Stack, tmp_path: Path):
    script = tmp_path / "example.py"
    script.write_text(read_blocks("python.md", "python"))
    run_example(stack, tmp_path, sys.executable, str(script))


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_example_in_javascript(stack: Stack, tmp_path: Path):
    script = tmp_path / "example.mjs"
    script.write_text(read_blocks("javascript.md", "js"))
    run_example(stack, tmp_path, "node", str(script))
