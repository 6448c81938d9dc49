"""Describes the Python build: an optimised one (PGO and LTO) costs a read a fifth less CPU."""

import json
import shlex
import subprocess
from typing import Any

from loadtests.bench.toolchain import BENCH_PYTHON

# Run by the measured interpreter.
_PROGRAM = """
import json, platform, sysconfig
values = {name: sysconfig.get_config_var(name) or "" for name in ("CONFIG_ARGS", "OPT")}
debian = "deb_system" in sysconfig.get_scheme_names()
print(json.dumps({**values, "version": platform.python_version(), "debian": debian}))
"""
_PGO, _LTO = "--enable-optimizations", "--with-lto"
_OTHER_OPTIONS = ("--enable-shared", "--disable-gil", "--enable-experimental-jit")


def describe_python() -> str:
    """Describes the interpreter that Rollcall and the Python peers run on."""
    argv = [BENCH_PYTHON, "-c", _PROGRAM]
    output = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout
    return describe(json.loads(output))


def describe(build: dict[str, Any]) -> str:
    """Returns version, compiler flags, and the options of `configure` that affect speed."""
    if build["debian"]:
        # Debian's sysconfig describes the shared library and lacks the flags of the program.
        return (
            f"Python {build['version']}, Debian's build (its python3.x programs have PGO and LTO)"
        )
    options = [option.partition("=")[0] for option in shlex.split(build["CONFIG_ARGS"])]
    missing = [option for option in (_PGO, _LTO) if option not in options]
    shown = [option for option in (_PGO, _LTO, *_OTHER_OPTIONS) if option in options]
    parts = [f"Python {build['version']}", build["OPT"]]
    parts += [f"built with {' '.join(shown)}"] if shown else []
    parts += [f"without {' '.join(missing)}: not an optimised build"] if missing else []
    return ", ".join(parts)
