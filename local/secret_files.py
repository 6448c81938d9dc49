"""Secrets of this machine, each in a file."""

import secrets
import tempfile
from pathlib import Path


def read_or_create_secret(path: Path) -> str:
    """Returns the secret in the file `path`, which is created (mode 0600) if it does not exist."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def write_secret(path: Path, secret: str) -> None:
    """Writes a file that only its owner can read (mode 0600)."""
    # Renamed once written: the file is complete or absent.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(secret + "\n")
    Path(file.name).rename(path)
