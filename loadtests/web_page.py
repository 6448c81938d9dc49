"""`make load-ui`: locust's web page, where a load is started, changed and watched."""

import os
from pathlib import Path

from loadtests.people import write_people
from loadtests.profiles import Profile
from loadtests.run import LOCUST_ENV, locust_argv
from loadtests.service import Service
from local.processes import Process, StackError, wait_any
from local.tcp_ports import HOST, find_free_port

_ENDLESS = 366 * 86_400.0  # seconds


def serve(profile: Profile, service: Service, folder: Path, scratch: Path) -> int:
    """Serves the page until Ctrl-C. Raises `StackError` if locust exits."""
    write_people(folder / "people", service.people(profile.people, scratch))
    port = find_free_port()
    endless = profile.with_load(_ENDLESS, None, None)
    argv = locust_argv(endless, service.url, folder)
    argv += ["--web-host", HOST, "--web-port", str(port), "--users", str(profile.connections)]
    with Process("locust", argv, scratch / "locust.log", env=os.environ | LOCUST_ENV) as locust:
        print(f"load-ui: http://{HOST}:{port}/ loads {service.url}; Ctrl-C stops both", flush=True)
        wait_any([locust], timeout=None)
        locust.wait()
        raise StackError(f"locust ended, status {locust.status}\n{locust.log_tail()}")
