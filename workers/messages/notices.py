"""Renders sign-in codes, and notices to the owners of addresses."""

from typing import Any

from domain.model.one_time_code import SIGN_IN_LIFETIME, format_code
from workers.messages.layout import (
    IGNORE_HINT,
    MINUTE,
    SECRECY_HINT,
    build_email,
    build_sms,
    origin_bound_line,
    sms_service_name,
)
from workers.messages.message import Message


def sign_in_code(settings: Any, *, channel: str, to: str, code: str) -> Message:
    """Renders the e-mail or text message with a sign-in code."""
    service, minutes = settings.SERVICE_NAME, SIGN_IN_LIFETIME // MINUTE
    if channel == "phone":
        text = f"{code} is your {sms_service_name(settings)} sign-in code for {minutes} min."
        text = f"{text} {IGNORE_HINT}.{origin_bound_line(settings, code)}"
        return build_sms(to, text, code)
    blocks = [
        ("paragraph", f"Enter this code within {minutes} minutes to sign in at {service}:"),
        ("code", format_code(code)),
        ("paragraph", f"{IGNORE_HINT}, and {SECRECY_HINT}."),
    ]
    return build_email(settings, to, f"Your code to sign in at {service}", blocks, code)


def address_in_use_notice(settings: Any, *, channel: str, to: str) -> Message:
    """Renders the notice to the owner of a verified address that was used to sign up."""
    service, hint = settings.SERVICE_NAME, f"If that was you, sign in instead. {IGNORE_HINT}."
    if channel == "phone":
        text = "somebody signed up with this number, which is yours already."
        return build_sms(to, f"{sms_service_name(settings)}: {text} {hint}")
    blocks = [
        ("paragraph", f"Somebody signed up at {service} with this e-mail address."),
        ("paragraph", "It belongs to your account already, and stays with it."),
        ("paragraph", hint),
    ]
    return build_email(settings, to, f"Somebody signed up at {service} with your address", blocks)


def address_change_notice(settings: Any, *, channel: str, to: str, changed: str) -> Message:
    """Renders the notice to a verified address, on `channel`, that the account's address on the
    channel `changed` is to be replaced.
    """
    service = settings.SERVICE_NAME
    what = "phone number" if changed == "phone" else "e-mail address"
    hint = "If this was not you, sign in, set it back and end all sessions."
    if channel == "phone":
        text = f"your account is to have another {what}."
        return build_sms(to, f"{sms_service_name(settings)}: {text} {hint}")
    blocks = [
        ("paragraph", f"Your account at {service} is to have another {what}."),
        ("paragraph", "The present one stays in place until the new one is confirmed."),
        ("paragraph", hint),
    ]
    return build_email(settings, to, f"Your {what} at {service} is to change", blocks)
