"""A Django project in one file: `GET /hello/` greets the person whose session token is sent.

gunicorn app:application
"""

import os
import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["rollcall_auth.RollcallMiddleware"],
    ROLLCALL_BACKEND_KEY=os.environ["ROLLCALL_BACKEND_KEY"],
    ROLLCALL_URL=os.environ["ROLLCALL_URL"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(32),
)

from rollcall_auth import person_required  # noqa: E402  # it needs the settings


@person_required
def hello(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"id": request.person["sub"], "name": request.person["claims"]["name"]})


urlpatterns = [path("hello/", hello)]
application = get_wsgi_application()
