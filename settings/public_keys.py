"""Public keys in settings."""

from base64 import b64decode
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


def parse_p256_key(name: str, text: str) -> "EllipticCurvePublicKey | None":
    """Parses a P-256 public key (base64 of its DER, as SendGrid shows it); None if empty.

    Raises ImproperlyConfigured, which names the setting, for anything else.
    """
    if not text:
        return None
    # Imported only if there is a key; every process reads the settings.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise ImproperlyConfigured(f"{name} must be a public key on P-256, as SendGrid shows it.")
    return key
