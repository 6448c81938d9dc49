"""The span of each request; see `workers.tracing`."""

from time import time

from django.http import HttpRequest, HttpResponse

from api.writes.middleware import GetResponse, get_method_label, get_queue_time, get_route_label
from workers import tracing


def tracing_middleware(get_response: GetResponse) -> GetResponse:
    """Continues the client's trace (W3C Trace Context), or begins one."""
    tracing.start("rollcall-write")

    def middleware(request: HttpRequest) -> HttpResponse:
        method, started_at = get_method_label(request), time() - get_queue_time(request)
        traceparent = request.META.get("HTTP_TRACEPARENT")
        with tracing.span(method, "SERVER", traceparent, started_at) as span:
            response = get_response(request)
            if span is not None:
                route, status = get_route_label(request), response.status_code
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "http.response.status_code": status,
                    }
                )
                if status >= 500:
                    tracing.fail(span, str(status))
        return response

    return middleware
