"""Generated requests, from the OpenAPI document."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.conftest import LONG
from tests.support.generated_requests import Credentials
from tests.support.recorded_service import RecordedService

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


def test_generated_requests_get_documented_responses(
    service: RecordedService, record_property: Any
):
    schema = schemathesis.openapi.from_url(f"{service.url}/api/v1/schema/")
    operations = [r.ok() for r in schema.get_all_operations() if isinstance(r, Ok)]
    assert len(operations) >= len(schema.raw_schema["paths"])
    count = 0
    for operation in operations:

        @given(case=operation.as_strategy(), who=st.sampled_from(Credentials))
        @settings(
            max_examples=150 if LONG else 4,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def responds_as_documented(case: schemathesis.Case[Any], who: Credentials) -> None:
            nonlocal count
            count += 1
            response = case.call_and_validate(checks=CHECKS, headers=service.bearer(who, case.path))
            service.assert_rules(case.method, response.status_code, response.content)
            if case.method == "DELETE" and response.status_code == 204:
                service.renew()

        responds_as_documented()
    record_property(
        "summary",
        f"{count} requests from the OpenAPI document: all as documented, nothing written on a 4xx",
    )
