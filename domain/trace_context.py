"""The trace that this thread works for; see `workers.tracing`."""

from contextvars import ContextVar

# As W3C Trace Context has it: ids alone. None if nothing is traced.
current_traceparent: ContextVar[str | None] = ContextVar("current_traceparent", default=None)
