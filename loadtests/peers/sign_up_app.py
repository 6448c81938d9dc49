"""A sign-up with DRF, the ORM and Huey as documented, which inserts the same rows as Rollcall's.

It does less: no profile in Redis, no rate limit, no phone number check, no request id.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.urls import path
from django.utils import timezone
from huey.contrib.djhuey import task
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from domain.model.keyring import Keyring

application = get_wsgi_application()  # must be called before models are imported

from domain.postgres.models import Confirmation, OutboxEntry, Person, Session  # noqa: E402  # see above

_KEY_ID = Keyring([settings.SECRET_KEY]).signing_key.id


class SignUp(serializers.Serializer[Any]):
    """The body of a sign-up."""

    name = serializers.CharField(max_length=100)
    surname = serializers.CharField(max_length=100)
    email = serializers.EmailField(max_length=254)
    phone = serializers.RegexField(r"^\+[0-9]{7,15}$")
    hobbies = serializers.ListField(
        child=serializers.CharField(max_length=100), max_length=50, default=list
    )


class Profile(serializers.ModelSerializer[Person]):
    """A person in the response."""

    class Meta:
        model = Person
        fields = ["id", "name", "surname", "email", "phone", "hobbies"]


@task()
def work(outbox_id: int) -> None:
    """Stands for the action after a sign-up; it is never executed."""


class SignUpView(APIView):
    """Signs people up."""

    def post(self, request: Request) -> Response:
        """Returns 201 or 400."""
        body = SignUp(data=request.data)
        body.is_valid(raise_exception=True)
        token = secrets.token_urlsafe(32)
        with transaction.atomic():
            person = create_person(body.validated_data, token)
            outbox_ids = create_outbox(person)
        for outbox_id in outbox_ids:
            work(outbox_id)
        return Response({"profile": Profile(person).data, "token": token}, status=201)


def create_person(data: dict[str, Any], token: str) -> Person:
    """Creates a person with a session."""
    person = Person.objects.create(**data, email_canonical=data["email"].casefold())
    Session.objects.create(
        person=person,
        digest=sha256(token.encode()).digest(),
        expires_at=timezone.now() + timedelta(days=30),
        user_agent="Python",
        network="127.0.0.0/24",
    )
    return person


def create_outbox(person: Person) -> list[int]:
    """Creates the confirmations of a person's addresses and all outbox entries."""
    addresses = {
        "email": (person.email, person.email_canonical),
        "phone": (person.phone, person.phone),
    }
    confirmations = Confirmation.objects.bulk_create(
        Confirmation(
            person=person,
            channel=channel,
            address=address,
            address_canonical=key,
            salt=secrets.token_bytes(16),
            key_id=_KEY_ID,
            network_hash=secrets.token_bytes(16),
        )
        for channel, (address, key) in addresses.items()
    )
    due_at = timezone.now() + timedelta(seconds=20)
    entries = [OutboxEntry(kind=OutboxEntry.Kind.PROJECT_PROFILE, person=person, due_at=due_at)]
    entries += [
        OutboxEntry(
            kind=OutboxEntry.Kind.CONFIRMATION,
            person=person,
            confirmation=confirmation,
            due_at=due_at,
        )
        for confirmation in confirmations
    ]
    return [entry.pk for entry in OutboxEntry.objects.bulk_create(entries)]


urlpatterns = [path("api/v1/signup/", SignUpView.as_view())]
