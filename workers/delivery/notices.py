"""The texts of the other messages: sign-in codes, and what the owner of an address should know."""

from workers.delivery.messages import NOT_YOU, bound, email, one_line, short
from workers.delivery.port import Message

_SECRET = "give what is in this message to nobody"


def sign_in_email(*, to: str, code: str, minutes: int, service: str, public_url: str) -> Message:
    """The e-mail with a code to sign in by."""
    service = one_line(service)
    blocks = [
        ("words", f"Enter this code within {minutes} minutes to sign in at {service}:"),
        ("code", code),
        ("words", f"{NOT_YOU}, and {_SECRET}."),
        ("sender", f"{service}, {public_url}"),
    ]
    return email(to, f"Your code to sign in at {service}", blocks, code)


def sign_in_sms(*, to: str, code: str, minutes: int, domain: str, service: str) -> Message:
    """The text message with a code to sign in by; its last line binds it to `domain`."""
    text = f"{code} is your {short(service)} sign-in code for {minutes} min. {NOT_YOU}."
    return Message("phone", to, "", text + bound(code, domain), "", code)


def taken_notice(*, channel: str, to: str, service: str, public_url: str) -> Message:
    """To the owner of a confirmed address: somebody has signed up with it."""
    service = one_line(service)
    if channel == "phone":
        text = (
            f"{short(service)}: somebody signed up with this number, which is yours already. "
            f"If that was you, sign in instead. {NOT_YOU}."
        )
        return Message("phone", to, "", text, "")
    blocks = [
        ("words", f"Somebody signed up at {service} with this e-mail address."),
        ("words", "It belongs to your account already, and stays with it."),
        ("words", f"If that was you, sign in instead. {NOT_YOU}."),
        ("sender", f"{service}, {public_url}"),
    ]
    return email(to, f"Somebody signed up at {service} with your address", blocks)


def change_notice(*, channel: str, to: str, service: str, public_url: str) -> Message:
    """To a confirmed address: the account it belongs to is about to have another one."""
    service = one_line(service)
    if channel == "phone":
        text = (
            f"{short(service)}: your account is to have another phone number. "
            "If this was not you, sign in, set it back and end all sessions."
        )
        return Message("phone", to, "", text, "")
    blocks = [
        ("words", f"Your account at {service} is to have another e-mail address."),
        ("words", "This one stays in place until the new one is confirmed."),
        ("words", "If this was not you, sign in, set it back and end all sessions."),
        ("sender", f"{service}, {public_url}"),
    ]
    return email(to, f"Your e-mail address at {service} is to change", blocks)
