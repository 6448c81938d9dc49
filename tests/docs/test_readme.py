"""The documentation: its commands work, and it names what exists."""

import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

from docs import scale, settings_table
from tests.support.client import ApiClient, wait_until
from tests.support.settings_process import PRODUCTION_ENV

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MKDOCS = ROOT / ".cache" / "docs-venv" / "bin" / "mkdocs"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
# Names in capitals that are no settings of the service: of make, gunicorn, systemd, SQL in code.
OTHER_VARIABLES = {
    "DATA_DIR",
    "WRITE_NICE",
    "REAL_TIME_READS",
    "BENCH_PYTHON",
    "BUILD_BASE",
    "PYTHON_VERSION",
    "WEB_CONCURRENCY",
    "LISTEN_FDS",
    "INSERT_SIGN_UP",
    "HTTPS_PROXY",
    "REQUESTS_CA_BUNDLE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
}


def test_table_of_the_scale_page_is_what_its_command_prints(capsys, monkeypatch):
    page = (ROOT / "docs" / "scale.md").read_text()
    (people,) = re.findall(r"-m docs\.scale (.+)", page)
    monkeypatch.setattr("sys.argv", ["docs.scale", *people.split()])
    scale.main()
    assert capsys.readouterr().out in page


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


def test_table_of_settings_is_that_of_the_settings_modules():
    page = settings_table.PAGE.read_text()
    assert settings_table.render() in page
    required = {name for name in PRODUCTION_ENV if f"| `{name}` | **required**" in page}
    assert required == PRODUCTION_ENV.keys() - {"DJANGO_SETTINGS_MODULE"}


def test_every_setting_in_the_documentation_exists():
    known = {setting.name for setting in settings_table.settings()}
    named = {
        name for text in DOCUMENTS for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", text.read_text())
    }
    assert named - known <= OTHER_VARIABLES


def test_api_documentation_names_every_error_code(django_db_access):
    from api.problem_details import PROBLEMS

    text = (ROOT / "docs" / "api.md").read_text()
    assert [code for code in PROBLEMS if f"`{code}`" not in text] == []


def test_every_relative_link_leads_to_a_file_and_a_heading():
    for document in DOCUMENTS:
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text()):
            target = document.parent / link if link else document
            assert target.exists(), f"{document.name}: {link}"
            if anchor:
                assert anchor in list_anchors(target), f"{document.name}: {link}#{anchor}"


def list_anchors(document: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


def test_help_names_every_target_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: help (.*)$", makefile, re.MULTILINE)[0].split()
    assert [target for target in targets if f'"make {target} ' not in makefile] == []


def test_every_page_is_in_the_navigation_of_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in ROOT.glob("docs/**/*.md"):
        assert f": {page.relative_to(ROOT / 'docs')}\n" in navigation


@pytest.mark.skipif(not MKDOCS.exists(), reason="make docs has not been run")
def test_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path):
    """Strict: a link or an anchor that leads nowhere fails the build."""
    argv = [str(MKDOCS), "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert (build.returncode, build.stdout + build.stderr) == (0, "")
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]*)"', page.read_text()
        )
        assert [url for url in loaded if re.match("(?:https?:)?//", url)] == []
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", style.read_text())


def test_every_file_that_the_documentation_names_exists():
    for document in DOCUMENTS:
        for name in re.findall(
            r"`((?:api|docs|domain|workers|settings|local|loadtests|deploy|tests)/[^`* ]*)`",
            document.read_text(),
        ):
            assert (ROOT / name).exists(), f"{document.name}: {name}"
