"""A DRF view that reads the hash through django-redis, for a WSGI server.

Unlike the others it renders the profile itself, with DRF's JSONRenderer, as DRF views do.
"""

import time

import orjson
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseNotModified
from django.urls import path
from django_redis import get_redis_connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.bearer import bearer_token
from domain import profile
from domain.model import session_token
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.keyring import Keyring
from loadtests.peers import responses

keys = Keyring([settings.SECRET_KEY])


class Profile(APIView):
    """The profile of the token's owner."""

    def get(self, request: Request) -> HttpResponse:
        """Returns a 200, 304, 401 or 503."""
        get_header = request.headers.get
        request_id = get_header("X-Request-ID", "")
        try:
            token = session_token.verify_token(keys, bearer_token(get_header("Authorization", "")))
            redis = get_redis_connection("default")
            reply = redis.hmget(profile.redis_key(token.person_id), profile.hmget_fields(token))
            body, tag, _ = profile.decode_reply(token, reply, time.time())
        except (InvalidToken, profile.CacheMiss) as error:
            known = error if isinstance(error, InvalidToken) else ServiceUnavailable()
            status, headers, body = responses.error_response(known, request_id)
            return HttpResponse(body, status=status, headers=headers)
        etag = tag.decode()
        headers = responses.profile_headers(etag, request_id)
        if responses.matches(get_header("If-None-Match", ""), etag):
            return HttpResponseNotModified(headers=headers)
        return Response(orjson.loads(body), headers=headers)


urlpatterns = [path("api/v1/profile/", Profile.as_view())]
application = get_wsgi_application()
