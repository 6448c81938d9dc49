"""Peers built from Debian packages: Go with its libraries, nginx with Lua."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from loadtests.bench.toolchain import RESULTS_DIR
from local.processes import Process

GOCODE = Path("/usr/share/gocode")  # Debian's sources of Go libraries
_GO_LIBRARIES = {
    "golang-github-valyala-fasthttp-dev": "src/github.com/valyala/fasthttp",
    "golang-github-gomodule-redigo-dev": "src/github.com/gomodule/redigo",
}
_NGINX_MODULES = Path("/usr/lib/nginx/modules")
LUA_MODULE = _NGINX_MODULES / "ngx_http_lua_module.so"
SBIN = "/usr/sbin:/usr/local/sbin"  # may be missing in PATH
_BUILD_TIMEOUT = 300.0


def missing_for_go() -> list[str]:
    """Returns the missing packages of the Go peer."""
    packages = [name for name, path in _GO_LIBRARIES.items() if not (GOCODE / path).exists()]
    return packages if shutil.which("go") else ["golang-go", *packages]


def missing_for_nginx(*, lua: bool) -> list[str]:
    """Returns the missing packages of nginx, with Lua or without."""
    packages = [] if _nginx() else ["nginx-light"]
    return packages if not lua or LUA_MODULE.exists() else [*packages, "libnginx-mod-http-lua"]


def build_go(source: Path, folder: Path) -> Path:
    """Builds a Go program from Debian's sources, without the network; returns the binary.

    Raises `StackError` with the compiler's output; the log is kept in `folder`.
    """
    binary = RESULTS_DIR / source.name
    env = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": str(GOCODE),
        "GOCACHE": str(RESULTS_DIR / "go-cache"),
    }
    argv = ["go", "build", "-o", str(binary), str(source / "main.go")]
    Process("go build", argv, folder / "go.log", env=env).run(_BUILD_TIMEOUT)
    return binary


def nginx(
    template: Path, port: int, folder: Path, values: Mapping[str, str] | None = None
) -> list[str]:
    """Writes an nginx's configuration from a template; returns the command that runs it."""
    folder_path = folder / f"nginx-{port}"
    folder_path.mkdir()
    filled = {
        "PORT": str(port),
        "FOLDER": str(folder_path),
        "SOURCE": str(template.parent),
        "MODULES": str(_NGINX_MODULES),
        **(values or {}),
    }
    text = re.sub(r"@([A-Z]+)@", lambda match: filled[match[1]], template.read_text())
    config_path = folder_path / "nginx.conf"
    config_path.write_text(text)
    return [_nginx() or "nginx", "-c", str(config_path), "-p", str(folder_path), "-e", "stderr"]


def describe_versions() -> str:
    """Returns the versions of Go and nginx, if installed."""
    commands = [["go", "version"], [_nginx() or "nginx", "-v"]]
    outputs = []
    for argv in commands:
        if shutil.which(argv[0]):
            result = subprocess.run(argv, capture_output=True, text=True, timeout=30)
            outputs.append((result.stdout or result.stderr).strip())
    return "; ".join(outputs)


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{SBIN}")
