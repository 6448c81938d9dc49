"""The export of all data that is kept about a person."""

from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.base import NoStoreAPIView, authenticate
from api.writes.json_parser import json_response
from api.writes.openapi import operation, response_header
from api.writes.response_serializers import ExportSerializer
from domain.model.errors import InvalidToken
from domain.postgres import person_export
from domain.postgres.unit_of_work import unit_of_work


class ExportView(NoStoreAPIView):
    """All data that is kept about the caller."""

    @operation(
        "exportProfile",
        "Export all data about the caller",
        {200: ExportSerializer},
        response_header("Content-Disposition", "A file name, for browsers.", 200),
    )
    def get(self, request: Request) -> HttpResponse:
        person_id = authenticate(request)
        with unit_of_work():
            export = person_export.export_person(person_id)
        if export is None:  # erased since
            raise InvalidToken
        disposition = 'attachment; filename="rollcall-export.json"'
        return json_response(export, headers={"Content-Disposition": disposition})
