"""Compiles the modules of a profile read to C, by mypyc: a third less CPU (docs/performance.md).

    python deploy/native.py --python .venv/bin/python FOLDER

FOLDER is a copy of the product, which is compiled in place; Python prefers the libraries to the
sources from then on. Not to be used on a checkout: an edited source would go unnoticed. The
interpreter that runs this has mypy and setuptools (requirements-native.lock) and is of the version
that the libraries are for; `--python` is one with the product's requirements, whose types count. A
C compiler and Python's header files must be here. The image is built so; `make bench` and the
tests use `local.native`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

# What every read passes through, and what inherits from that: interpreted classes cannot. All are
# in one group: a call from one to another is a call of a C function. What has coroutines stays out
# (compiled ones use a deprecated `throw`), and what a read seldom needs: compiled code checks at
# run time that values have their types, and those of other packages do not always.
MODULES = [
    "api/http_server/connection.py",
    "api/http_server/connection_state.py",
    "api/http_server/flow_control.py",
    "api/http_server/head_cache.py",
    "api/http_server/request.py",
    "api/http_server/request_reader.py",
    "api/http_server/response_encoding.py",
    "api/http_server/server_state.py",
    "api/observability/loop_metrics.py",
    "api/problem_details.py",
    "api/reads/client_cache.py",
    "api/reads/introspection.py",
    "api/reads/profile.py",
    "api/reads/redis/connection.py",
    "api/reads/responses.py",
    "api/reads/token_state.py",
    "domain/model/keyring.py",
    "domain/model/session_token.py",
    "domain/profile.py",
]
# Types are checked by `make check`, with plugins that are not here.
_MYPY_OPTIONS = [
    "--config-file=",
    "--cache-dir=/dev/null",
    "--explicit-package-bases",
    "--ignore-missing-imports",
]


def main() -> None:
    """Compiles; exits with 1 and mypyc's or the compiler's output if it fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    if (options.folder / ".git").exists():
        sys.exit(f"{options.folder} is a checkout; compile a copy of it")
    # Not at the top: the list of modules is read without them.
    from mypyc.build import mypycify
    from setuptools import setup  # type: ignore[import-untyped]  # it ships no types

    python = f"--python-executable={Path(options.python).absolute()}"
    os.chdir(options.folder)
    with tempfile.TemporaryDirectory() as scratch:
        extensions = mypycify(
            [*_MYPY_OPTIONS, python, *MODULES],
            opt_level="3",
            debug_level="0",
            group_name="rollcall",
            target_dir=scratch,
        )
        build = ["--quiet", "build_ext", "--inplace", f"--build-temp={scratch}"]
        setup(name="rollcall", packages=[], ext_modules=extensions, script_args=build)
    shutil.rmtree("build", ignore_errors=True)


if __name__ == "__main__":
    main()
