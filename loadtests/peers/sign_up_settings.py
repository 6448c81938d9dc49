"""Django settings of the plain sign-up: Rollcall's tables, and its own queue in Huey's Redis."""

import os

from psycopg.conninfo import conninfo_to_dict

_server = conninfo_to_dict(os.environ["DATABASE_URL"])

ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = os.environ["SECRET_KEY"]
ROOT_URLCONF = "loadtests.peers.sign_up_app"
INSTALLED_APPS = ["rest_framework", "huey.contrib.djhuey", "domain.postgres"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _server["host"],
        "PORT": _server.get("port", ""),
        "NAME": _server["dbname"],
        "USER": _server.get("user", ""),
        "PASSWORD": _server.get("password", ""),
        "CONN_MAX_AGE": 600,
    }
}
HUEY = {
    "name": "peer",
    "huey_class": "huey.RedisHuey",
    "immediate": False,
    "results": False,
    "connection": {"url": os.environ["QUEUE_URL"]},
}
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
