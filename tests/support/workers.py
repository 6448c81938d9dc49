"""Workers with another environment, in place of the stack's."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.processes import Process
from local.stack import Stack

_MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
type UseWorker = Callable[..., None]


@contextmanager
def replaceable_worker(stack: Stack) -> Iterator[UseWorker]:
    """Yields a function that runs a worker with more environment in place of the one before: of the
    stack's own, first of all. That one runs again at the end, and if there is no more environment.
    """
    own = stack.services["worker"]
    log = stack.data_dir / "logs" / "replaced-worker.log"
    environment: dict[str, str] = {}

    def restart_own() -> None:
        if not own.is_running:
            own.start()

    with ExitStack() as at_end, ExitStack() as current:
        at_end.callback(restart_own)

        def use(**env: str) -> None:
            nonlocal environment
            if env == environment:
                return
            current.close()
            environment = env
            if not env:
                restart_own()
                return
            own.kill()
            argv = [sys.executable, str(_MANAGE), "run_huey"]
            process = Process("worker", argv, log, env=stack.environment() | env)
            current.callback(process.kill)
            process.start()

        yield use
