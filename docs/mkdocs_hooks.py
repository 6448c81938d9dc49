"""Hooks of MkDocs: pages that GitHub expects in the root are a part of the site too."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
ROOT_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "vulnerabilities.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root."""
    for name, uri in ROOT_PAGES.items():
        content = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, uri, content=_map_links(content)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Maps links to the root, which work on GitHub, to the pages here."""
    return _map_links(markdown)


def _map_links(markdown: str) -> str:
    names = "|".join(map(re.escape, ROOT_PAGES))
    return re.sub(
        rf"\]\((?:\.\./)?({names})(?=[#)])", lambda link: f"]({ROOT_PAGES[link[1]]}", markdown
    )
