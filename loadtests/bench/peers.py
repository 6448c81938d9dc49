"""The peers: each serves the same reads as Rollcall, in one process with one worker."""

from collections.abc import Callable
from pathlib import Path

from domain import profile
from domain.model.keyring import Keyring
from loadtests.bench import debian
from loadtests.bench.people import Dataset
from loadtests.bench.servers import Server, new_process
from loadtests.bench.toolchain import BENCH_PYTHON, FASTIFY, ROOT, node
from loadtests.seeding import make_person
from local.tcp_ports import HOST, find_free_port

type Start = Callable[[Dataset, Path], Server]

_SOURCES = ROOT / "loadtests" / "peers"


def fastify(dataset: Dataset, folder: Path) -> Server:
    """Fastify and ioredis on Node, in production mode."""
    port = find_free_port()
    argv, env = [str(node()), str(FASTIFY / "server.js")], {"NODE_ENV": "production"}
    process = new_process(argv, port, dataset, folder, env)
    return Server("fastify", "Fastify + ioredis", process, port, dataset)


def fastapi(dataset: Dataset, folder: Path) -> Server:
    """FastAPI and redis.asyncio on uvicorn, with its fastest loop and parser."""
    port = find_free_port()
    argv = [BENCH_PYTHON, "-m", "uvicorn", "loadtests.peers.fastapi_app:app"]
    argv += ["--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    argv += ["--no-access-log", "--log-level", "warning"]
    process = new_process(argv, port, dataset, folder, {})
    return Server("fastapi", "FastAPI + redis.asyncio", process, port, dataset)


def drf(dataset: Dataset, folder: Path) -> Server:
    """A DRF view under granian's WSGI server with four threads, which costs a fifth less than
    gunicorn or granian's default number of threads.
    """
    port = find_free_port()
    argv = [*_granian("wsgi", port), "--blocking-threads", "4"]
    argv += ["loadtests.peers.drf_app:application"]
    env = {"DJANGO_SETTINGS_MODULE": "loadtests.peers.drf_settings"}
    process = new_process(argv, port, dataset, folder, env)
    return Server("drf", "DRF + django-redis", process, port, dataset)


def granian(dataset: Dataset, folder: Path) -> Server:
    """Rollcall's reads on granian's HTTP server instead of its own, in its fastest mode."""
    port = find_free_port()
    argv = [*_granian("rsgi", port), "--loop", "uvloop", "--runtime-mode", "mt"]
    argv += ["loadtests.peers.granian_app:app"]
    process = new_process(argv, port, dataset, folder, {})
    return Server("granian", "the same reads on granian", process, port, dataset)


def go_fasthttp(dataset: Dataset, folder: Path) -> Server:
    """Go with fasthttp and redigo, on one processor (GOMAXPROCS)."""
    port = find_free_port()
    argv = [str(debian.build_go(_SOURCES / "go_fasthttp", folder))]
    process = new_process(argv, port, dataset, folder, {})
    return Server("go", "Go, fasthttp + redigo", process, port, dataset)


def nginx_lua(dataset: Dataset, folder: Path) -> Server:
    """nginx with Lua, over cosockets."""
    port = find_free_port()
    argv = debian.nginx(_SOURCES / "nginx" / "read.conf.in", port, folder)
    process = new_process(argv, port, dataset, folder, {})
    return Server("nginx_lua", "nginx + Lua", process, port, dataset)


def nginx_constant(dataset: Dataset, folder: Path) -> Server:
    """nginx that sends the same profile to every client: the minimal cost of HTTP."""
    port = find_free_port()
    body = profile.render_body(make_person(Keyring([dataset.secret]), 1)[0])
    values = {"BODY": body.decode(), "ETAG": profile.strong_etag(body).decode()}
    argv = debian.nginx(_SOURCES / "nginx" / "constant.conf.in", port, folder, values)
    process = new_process(argv, port, dataset, folder, {})
    return Server("nginx_constant", "nginx, a constant", process, port, dataset, reads=False)


def get_available() -> tuple[list[Start], list[str]]:
    """Returns the peers that can be run here, and notes: versions, and the packages that others
    need.
    """
    peers: list[tuple[Start, str, list[str]]] = [
        (go_fasthttp, "Go, fasthttp + redigo", debian.missing_for_go()),
        (nginx_lua, "nginx + Lua", debian.missing_for_nginx(lua=True)),
        (granian, "", []),
        (fastify, "", []),
        (fastapi, "", []),
        (drf, "", []),
        (nginx_constant, "nginx, a constant", debian.missing_for_nginx(lua=False)),
    ]
    notes = [note for note in [debian.describe_versions()] if note]
    notes += [
        f"{title}: left out; apt-get install {' '.join(packages)}"
        for _, title, packages in peers
        if packages
    ]
    return [start for start, _, packages in peers if not packages], notes


def _granian(interface: str, port: int) -> list[str]:
    argv = [BENCH_PYTHON, "-m", "granian", "--interface", interface, "--http", "1", "--no-ws"]
    argv += ["--host", HOST, "--port", str(port), "--workers", "1"]
    return [*argv, "--working-dir", str(ROOT)]
