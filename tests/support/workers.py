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
    """Yields a function that runs a worker with more environment in place of the one before; at the
    end the stack's own runs again.
    """
    log = stack.data_dir / "logs" / "replaced-worker.log"
    environment: dict[str, str] | None = None
    with ExitStack() as at_end, ExitStack() as current:
        stack.services["worker"].kill()
        at_end.callback(stack.services["worker"].start)

        def use(**env: str) -> None:
            nonlocal environment
            if environment != env:
                current.close()
                argv = [sys.executable, str(_MANAGE), "run_huey"]
                process = Process("worker", argv, log, env=stack.environment() | env)
                current.callback(process.kill)
                process.start()
                environment = env

        yield use
