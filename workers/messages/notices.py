"""Renders sign-in codes, and notices to the owners of addresses."""

from workers.messages.confirmation import (
    IGNORE_HINT,
    build_email,
    origin_bound_line,
    sms_service_name,
    strip_controls,
)
from workers.providers.base import Message

_SECRECY_HINT = "give what is in this message to nobody"


def sign_in_email(*, to: str, code: str, minutes: int, service: str, public_url: str) -> Message:
    """Renders the e-mail with a sign-in code."""
    service = strip_controls(service)
    blocks = [
        ("paragraph", f"Enter this code within {minutes} minutes to sign in at {service}:"),
        ("code", code),
        ("paragraph", f"{IGNORE_HINT}, and {_SECRECY_HINT}."),
        ("footer", f"{service}, {public_url}"),
    ]
    return build_email(to, f"Your code to sign in at {service}", blocks, code)


def sign_in_sms(*, to: str, code: str, minutes: int, domain: str, service: str) -> Message:
    """Renders the text message with a sign-in code; its last line binds it to `domain`."""
    text = (
        f"{code} is your {sms_service_name(service)} sign-in code for {minutes} min. {IGNORE_HINT}."
    )
    return Message("phone", to, "", text + origin_bound_line(code, domain), "", code)


def address_in_use_notice(*, channel: str, to: str, service: str, public_url: str) -> Message:
    """Renders the notice to the owner of a verified address that was used to sign up."""
    service = strip_controls(service)
    if channel == "phone":
        text = (
            f"{sms_service_name(service)}: somebody signed up with this number, which is yours"
            " already. "
            f"If that was you, sign in instead. {IGNORE_HINT}."
        )
        return Message("phone", to, "", text, "")
    blocks = [
        ("paragraph", f"Somebody signed up at {service} with this e-mail address."),
        ("paragraph", "It belongs to your account already, and stays with it."),
        ("paragraph", f"If that was you, sign in instead. {IGNORE_HINT}."),
        ("footer", f"{service}, {public_url}"),
    ]
    return build_email(to, f"Somebody signed up at {service} with your address", blocks)


def address_change_notice(*, channel: str, to: str, service: str, public_url: str) -> Message:
    """Renders the notice to a verified address that its account is to replace it."""
    service = strip_controls(service)
    if channel == "phone":
        text = (
            f"{sms_service_name(service)}: your account is to have another phone number. "
            "If this was not you, sign in, set it back and end all sessions."
        )
        return Message("phone", to, "", text, "")
    blocks = [
        ("paragraph", f"Your account at {service} is to have another e-mail address."),
        ("paragraph", "This one stays in place until the new one is confirmed."),
        ("paragraph", "If this was not you, sign in, set it back and end all sessions."),
        ("footer", f"{service}, {public_url}"),
    ]
    return build_email(to, f"Your e-mail address at {service} is to change", blocks)
