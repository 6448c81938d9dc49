"""The operations of the API.

Generated from the OpenAPI document by `make clients`: do not edit.
"""

from typing import Any

from rollcall_client import models
from rollcall_client.operation import Operation

VERSION = "0.1.0"
GET_CONFIRMATION_STATUS = Operation[None, models.ConfirmationStatuses](
    "GET", "/api/v1/confirmations/", models.ConfirmationStatuses
)
CONFIRM_EMAIL = Operation[models.ConfirmEmailRequest, models.EmailConfirmed](
    "POST", "/api/v1/confirmations/email/", models.EmailConfirmed
)
RESEND_EMAIL_CONFIRMATION = Operation[None, models.ResendResponse](
    "POST", "/api/v1/confirmations/email/resend/", models.ResendResponse
)
CONFIRM_PHONE = Operation[models.ConfirmPhoneRequest, models.PhoneConfirmed](
    "POST", "/api/v1/confirmations/phone/", models.PhoneConfirmed
)
RESEND_PHONE_CONFIRMATION = Operation[None, models.ResendResponse](
    "POST", "/api/v1/confirmations/phone/resend/", models.ResendResponse
)
INTROSPECT_TOKEN = Operation[Any, Any]("POST", "/api/v1/introspect/", None)
GET_PROFILE = Operation[None, models.Profile]("GET", "/api/v1/profile/", models.Profile)
UPDATE_PROFILE = Operation[models.UpdateProfileRequest, models.Profile](
    "PATCH", "/api/v1/profile/", models.Profile
)
DELETE_PROFILE = Operation[None, None]("DELETE", "/api/v1/profile/", None)
EXPORT_PROFILE = Operation[None, models.Export]("GET", "/api/v1/profile/export/", models.Export)
LIST_SESSIONS = Operation[None, models.SessionList]("GET", "/api/v1/sessions/", models.SessionList)
REQUEST_SIGN_IN_CODE = Operation[models.SignInCodeRequest, models.SignInChallenge](
    "POST", "/api/v1/sessions/", models.SignInChallenge
)
REVOKE_ALL_SESSIONS = Operation[None, None]("DELETE", "/api/v1/sessions/", None)
SIGN_IN = Operation[models.SignInRequest, models.SessionResponse](
    "POST", "/api/v1/sessions/confirm/", models.SessionResponse
)
REVOKE_CURRENT_SESSION = Operation[None, None]("DELETE", "/api/v1/sessions/current/", None)
REFRESH_SESSION = Operation[None, models.SessionResponse](
    "POST", "/api/v1/sessions/current/refresh/", models.SessionResponse
)
REVOKE_SESSION = Operation[None, None]("DELETE", "/api/v1/sessions/{session_id}/", None)
SIGN_UP = Operation[models.SignUpRequest, models.SignUpResponse](
    "POST", "/api/v1/signup/", models.SignUpResponse
)
