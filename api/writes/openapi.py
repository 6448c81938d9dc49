"""What the OpenAPI document says about the command side."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from api.problem_documents import STATUS
from api.writes.serializers import (
    AddressBody,
    CodeBody,
    EmailConfirmationBody,
    EmptyBody,
    LinkBody,
    SignInBody,
    SignUpBody,
    UpdateBody,
)

# Made by a call, because a serializer has a property of its own that is named `errors`.
ProblemDocument = inline_serializer(
    "ProblemDocument",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.ChoiceField(choices=sorted(STATUS)),
        "request_id": serializers.CharField(),
        "errors": serializers.ListField(
            required=False,
            child=inline_serializer(
                "FieldError",
                {name: serializers.CharField() for name in ("field", "code", "message")},
            ),
        ),
    },
)


class ProfileDocument(serializers.Serializer[Any]):
    """A profile."""

    name = serializers.CharField()
    surname = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    hobbies = serializers.ListField(child=serializers.CharField())
    email_verified = serializers.BooleanField()
    phone_verified = serializers.BooleanField()


class SessionDocument(serializers.Serializer[Any]):
    """A session that was opened."""

    token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_at = serializers.DateTimeField()


class SignedUpDocument(serializers.Serializer[Any]):
    """A new person and their first session."""

    id = serializers.UUIDField()
    profile = ProfileDocument()
    session = SessionDocument()


class ResentDocument(serializers.Serializer[Any]):
    """When the next message may be asked for; null if nothing waits to be confirmed."""

    resend_available_at = serializers.DateTimeField(allow_null=True)


class LinkDocument(serializers.Serializer[Any]):
    """Who signed up with the address that a link was sent to, and how that stands."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["open", "confirmed", "expired"])


class OverviewDocument(serializers.Serializer[Any]):
    """How the confirmation of one channel stands."""

    status = serializers.ChoiceField(choices=["queued", "sent", "delivered", "failed", "confirmed"])
    resend_available_at = serializers.DateTimeField(allow_null=True)
    attempts_left = serializers.IntegerField(min_value=0)
    pending = serializers.CharField(
        allow_null=True, help_text="The address, masked, that is to replace a confirmed one."
    )


def header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """A response header, on the answers with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


def described(
    operation_id: str, body: Any, success: dict[int, Any], *problems: int, **more: Any
) -> Any:
    """`extend_schema` for one call: its body (None: it has none), its success, and its problems by
    status.
    """
    of_body = () if body is None else (400, 413, 415)
    problems = tuple(sorted({500, 503, *of_body, *problems}))
    always = tuple(success) + problems
    retry = tuple({429, 503} & set(problems))
    parameters = [
        header("X-Request-ID", "Names this request in our logs.", *always),
        header("Cache-Control", "`no-store`.", *always),
        header("Retry-After", "Seconds to wait.", *retry),
        *more.pop("parameters", []),
    ]
    if 415 in problems:
        parameters.append(header("Accept", "What is understood.", 415))
    if 401 in problems:
        parameters.append(header("WWW-Authenticate", "`Bearer`.", 401))
    responses: dict[Any, Any] = dict(success)
    for status in problems:
        words = ", ".join(f"`{word}`" for word, (its, _) in STATUS.items() if its == status)
        responses[(status, "application/problem+json")] = OpenApiResponse(
            ProblemDocument, description=words
        )
    return extend_schema(
        operation_id=operation_id,
        request=body,
        responses=responses,
        parameters=parameters,
        **more,
    )


def _verified(name: str) -> Any:
    return inline_serializer(
        f"{name.title()}Confirmed", {f"{name}_verified": serializers.BooleanField()}
    )


_BEARER: list[dict[str, list[str]]] = [{"bearer": []}]

sign_up = described(
    "signUp",
    SignUpBody,
    {201: SignedUpDocument},
    409,
    422,
    429,
    tags=["people"],
    auth=[],
    summary="Sign up",
    parameters=[
        header("Location", "Where the new profile is read.", 201),
        header("Idempotency-Replayed", "`true` if this person had signed up before.", 201),
        OpenApiParameter(
            "Idempotency-Key",
            {"type": "string", "pattern": "^[!-~]{16,255}$"},
            OpenApiParameter.HEADER,
            description="The same key and body again, within 10 minutes, give the same person.",
        ),
    ],
)
update = described(
    "updateProfile",
    UpdateBody,
    {200: ProfileDocument},
    401,
    412,
    429,
    tags=["people"],
    auth=_BEARER,
    summary="Change one's own profile",
    parameters=[
        header("ETag", "A strong validator of the new body.", 200),
        OpenApiParameter(
            "If-Match",
            str,
            OpenApiParameter.HEADER,
            description="The ETag that the client has; 412 if it is not the current one.",
        ),
    ],
)
leave = described(
    "leave",
    None,
    {204: None},
    401,
    429,
    tags=["people"],
    auth=_BEARER,
    summary="Have everything deleted that is known of oneself",
)
confirm_email = described(
    "confirmEmail",
    EmailConfirmationBody,
    {200: _verified("email")},
    401,
    429,
    tags=["confirmations"],
    auth=[{"bearer": []}, {}],
    summary="Confirm the e-mail address",
)
confirm_phone = described(
    "confirmPhone",
    CodeBody,
    {200: _verified("phone")},
    401,
    429,
    tags=["confirmations"],
    auth=_BEARER,
    summary="Confirm the phone number",
)


look_at_link = described(
    "lookAtLink",
    LinkBody,
    {200: LinkDocument},
    429,
    tags=["pages and probes"],
    auth=[],
    summary="What the page behind the link in the e-mail asks before it shows its button",
)


def _resend(channel: str, name: str) -> Any:
    return described(
        f"resend{channel.title()}",
        EmptyBody,
        {202: ResentDocument},
        401,
        429,
        tags=["confirmations"],
        auth=_BEARER,
        summary=f"Ask for another {name}",
    )


resend_email = _resend("email", "e-mail")
resend_phone = _resend("phone", "text message")
overview = described(
    "readConfirmations",
    None,
    {200: inline_serializer("Overviews", {c: OverviewDocument() for c in ("email", "phone")})},
    401,
    429,
    tags=["confirmations"],
    auth=_BEARER,
    summary="How the confirmations stand",
)
ask_to_sign_in = described(
    "askToSignIn",
    AddressBody,
    {202: inline_serializer("Asked", {"detail": serializers.CharField()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Ask for a code to sign in by",
)
sign_in = described(
    "signIn",
    SignInBody,
    {201: inline_serializer("SignedIn", {"session": SessionDocument()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Sign in by a code",
    parameters=[header("Location", "Where the profile is read.", 201)],
)
sign_out = described(
    "signOut",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=_BEARER,
    summary="End this session",
)
sign_out_everywhere = described(
    "signOutEverywhere",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=_BEARER,
    summary="End all of one's own sessions",
)
