"""The translations: complete, with the placeholders of their texts, and compiled as they are."""

import ast
import gettext
import re
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import polib
import pytest

from api.problem_details import PROBLEMS
from domain.model.language import SUPPORTED
from settings import catalogues
from settings.catalogues import NotCompiled, compile_catalogues, list_catalogues

ROOT = catalogues.ROOT
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|\{\w+\}|<[^>]+>")
# Python 3.12 names two statuses as RFC 7231 did.
PHRASES = {"Request Entity Too Large", "Unprocessable Entity", "Content Too Large",
           "Unprocessable Content"}  # fmt: skip  # one set


def read_template(path: Path) -> Iterator[str]:
    """Yields the texts that a template marks for translation, as Django names them."""
    text = path.read_text()
    for _, quoted in re.findall(r"""\{% translate (["'])(.*?)\1""", text):
        yield quoted
    for block in re.findall(r"\{% blocktranslate[^%]*%\}(.*?)\{% endblocktranslate", text, re.S):
        yield re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", block)


def read_invalid_fields(path: Path) -> Iterator[str]:
    """Yields the texts of `InvalidField`."""
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "InvalidField":
            yield ast.literal_eval(call.args[1])


def texts_of_the_code() -> dict[str, set[str]]:
    """Returns the texts to translate, by app."""
    texts: dict[str, set[str]] = defaultdict(set)
    for app in ("api", "workers"):
        for path in (ROOT / app).rglob("*"):
            if path.suffix in (".html", ".txt"):
                texts[app].update(read_template(path))
    for folder in ("api", "domain"):
        for path in (ROOT / folder).rglob("*.py"):
            texts["api"].update(read_invalid_fields(path))
    for status, detail in PROBLEMS.values():
        texts["api"] |= {HTTPStatus(status).phrase, detail}
    texts["api"] |= PHRASES
    return texts


def test_every_text_is_translated_into_every_language():
    """For each that is missing, add an entry to the catalogue; see docs/messages.md."""
    texts = texts_of_the_code()
    for app, expected in texts.items():
        for language in set(SUPPORTED) - {"en"}:
            path = ROOT / app / "locale" / language / "LC_MESSAGES" / "django.po"
            entries = polib.pofile(str(path))
            assert {entry.msgid for entry in entries} == expected, path
            assert [entry.msgid for entry in entries if not entry.translated()] == [], path
            assert entries.obsolete_entries() == []


@pytest.mark.parametrize("path", list_catalogues(), ids=lambda path: str(path.relative_to(ROOT)))
def test_translation_has_the_placeholders_of_its_text(path: Path):
    for entry in polib.pofile(str(path)):
        found, expected = (
            sorted(PLACEHOLDER.findall(text)) for text in (entry.msgstr, entry.msgid)
        )
        assert found == expected, entry.msgid


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one catalogue, with a text."""
    folder = tmp_path / "app" / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text('msgid ""\nmsgstr ""\n\nmsgid "yes"\nmsgstr "ja"\n')
    monkeypatch.setattr(catalogues, "ROOT", tmp_path)
    return folder


def read(folder: Path) -> str:
    with (folder / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file).gettext("yes")


def test_changed_catalogue_is_compiled_and_an_unchanged_one_is_not(tree: Path):
    compile_catalogues()
    assert read(tree) == "ja"
    before = (tree / "django.mo").stat().st_ino
    compile_catalogues()
    assert (tree / "django.mo").stat().st_ino == before
    source = tree / "django.po"
    source.write_text(source.read_text().replace('"ja"', '"doch"'))
    compile_catalogues()
    assert read(tree) == "doch"
    assert sorted(path.name for path in tree.iterdir()) == ["django.mo", "django.po"]


def test_start_names_a_catalogue_that_is_not_compiled_in_a_read_only_folder(
    tree: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(path: Path, data: bytes) -> None:
        raise OSError

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(NotCompiled, match=r"django\.po is not compiled.*settings\.catalogues"):
        compile_catalogues()
