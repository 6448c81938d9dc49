"""OpenTelemetry traces, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set: from the request through its
outbox entries to the workers' calls of the providers.

The SDK is not imported otherwise. It reads its standard settings (`OTEL_*`) from the environment.
Spans hold ids, codes and the names of routes, tasks and providers: nothing that a client has sent,
and so no `tracestate`, and no text of an exception. A thread exports them from a bounded queue: a
collector that is down or hangs delays nothing but the end of the process, by `_FLUSH_TIME`.
"""

import atexit
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import structlog
from django.conf import settings

from domain.model.errors import RollcallError
from domain.trace_context import current_traceparent

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

type Attributes = dict[str, str | int]
type Kind = Literal["SERVER", "PRODUCER", "CONSUMER", "CLIENT"]

_FLUSH_TIME = 2.0  # seconds
_lock = threading.Lock()
_tracer: "Tracer | None" = None


def start(service_name: str) -> None:
    """Starts the export of this process' spans, unless it has begun or tracing is off.

    `service_name` is the default of `OTEL_SERVICE_NAME`. The SDK starts its thread again in a child
    process that is forked later.
    """
    global _tracer
    with _lock:
        if _tracer is None and settings.TRACING_ENABLED:
            _tracer = _create_tracer(service_name)


def _create_tracer(service_name: str) -> "Tracer":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": service_name}))
    processor = BatchSpanProcessor(OTLPSpanExporter())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    # The public method waits 30 s for a collector that hangs: longer than a process has to stop.
    shutdown = processor._batch_processor.shutdown  # noqa: SLF001  # see above
    atexit.register(shutdown, timeout_millis=int(_FLUSH_TIME * 1000))
    return provider.get_tracer("rollcall")


@contextmanager
def span(
    name: str,
    kind: Kind,
    traceparent: str | None = None,
    started_at: float | None = None,
    attributes: Attributes | None = None,
) -> "Iterator[Span | None]":
    """Runs the block in a span; yields None if tracing is off.

    It continues `traceparent`, or else the span that surrounds it; `started_at` is in Unix seconds.
    A `RollcallError` is recorded by its code, any other by its type.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    with _tracer.start_as_current_span(
        name,
        context=_parse(traceparent),
        kind=SpanKind[kind],
        attributes=attributes,
        start_time=None if started_at is None else int(started_at * 1e9),
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        trace_id = f"{current.get_span_context().trace_id:032x}"
        token = current_traceparent.set(_format(current))
        try:
            with structlog.contextvars.bound_contextvars(trace_id=trace_id):
                yield current
        except Exception as error:
            fail(current, error.code if isinstance(error, RollcallError) else type(error).__name__)
            raise
        finally:
            current_traceparent.reset(token)


def record_wait(
    name: str, traceparent: str | None, seconds: float, attributes: Attributes
) -> str | None:
    """Records the span of what has waited for `seconds` until now, such as in the outbox; returns
    its `traceparent`, None if tracing is off.
    """
    started_at = time.time() - seconds
    with span(name, "PRODUCER", traceparent, started_at, attributes) as current:
        return None if current is None else _format(current)


def fail(current: "Span", code: str) -> None:
    """Marks a span as failed, by a code."""
    from opentelemetry.trace import StatusCode

    current.set_attribute("error.type", code)
    current.set_status(StatusCode.ERROR)


def _format(current: "Span") -> str:
    context = current.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _parse(traceparent: str | None) -> Any:
    """Returns the context of the SDK; None, which is the current one, if there is none to parse."""
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
