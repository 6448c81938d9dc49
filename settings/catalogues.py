"""Compiles the gettext catalogues (`django.po`) to what gettext reads (`django.mo`), which is not
committed:

    python -m settings.catalogues

Django's settings do it at each start, so that no stale one is used.
"""

import os
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class NotCompiled(RuntimeError):
    """A catalogue is not compiled, and cannot be: its folder is read-only."""


def list_catalogues() -> list[Path]:
    """Returns the paths of all catalogues: each app has one for each language but English."""
    return sorted(ROOT.glob("[!.]*/locale/*/LC_MESSAGES/django.po"))


def compile_catalogues() -> None:
    """Compiles the catalogues that have changed since they were compiled. Processes may do so at
    the same time. Raises `NotCompiled`.
    """
    for source in list_catalogues():
        digest, compiled = sha256(source.read_bytes()).hexdigest(), source.with_suffix(".mo")
        if not compiled.exists() or digest.encode() not in compiled.read_bytes():
            try:
                _compile(source, compiled, digest)
            except OSError:
                raise NotCompiled(
                    f"{source} is not compiled, and {source.parent} is read-only:"
                    " run python -m settings.catalogues when you install Rollcall."
                ) from None


def _compile(source: Path, compiled: Path, digest: str) -> None:
    import polib  # loaded only where there is something to compile

    catalogue = polib.pofile(str(source))
    catalogue.metadata["X-Source-SHA256"] = digest
    temporary = compiled.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(catalogue.to_binary())
    temporary.replace(compiled)


if __name__ == "__main__":
    compile_catalogues()
