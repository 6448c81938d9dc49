"""Signs receipts as the providers do, with keys of the test run."""

import base64
import hashlib
import json
import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
VONAGE_SECRET = "a signature secret that only this run of the tests and its stack know"


def encode_public_key(key: ec.EllipticCurvePrivateKey) -> str:
    """Returns a public key as SendGrid shows it."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


ENV = {
    "SENDGRID_WEBHOOK_PUBLIC_KEY": encode_public_key(SENDGRID_KEY),
    "VONAGE_SIGNATURE_SECRET": VONAGE_SECRET,
}


def encode_body(document: Any) -> bytes:
    """Encodes a document as JSON, unless it is bytes."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def sign_sendgrid(
    events: Any, *, key: ec.EllipticCurvePrivateKey = SENDGRID_KEY, age: int = 0
) -> dict[str, str]:
    """Returns the headers of a batch that was signed `age` seconds ago."""
    timestamp = str(int(time.time()) - age)
    signature = key.sign(timestamp.encode() + encode_body(events), ec.ECDSA(SHA256()))
    return {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def sign_vonage(
    receipt: Any,
    *,
    secret: str | None = VONAGE_SECRET,
    algorithm: str = "HS256",
    age: int = 0,
    media_type: str = "application/json",
    **claims: Any,
) -> dict[str, str]:
    """Returns the headers of a receipt signed `age` seconds ago; None omits a claim."""
    claims = {
        "iat": int(time.time()) - age,
        "jti": "c2b5d0e4",
        "iss": "Vonage",
        "api_key": "key",
        "payload_hash": hashlib.sha256(encode_body(receipt)).hexdigest(),
    } | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(claims, secret, algorithm=algorithm)  # type: ignore[arg-type]  # None: none
    return {"Content-Type": media_type, "Authorization": f"Bearer {token}"}


def post_receipts(http: httpx.Client, provider: str, document: Any, headers: dict[str, str]) -> int:
    """Sends receipts to the provider's webhook; returns the status."""
    response = http.post(f"/webhooks/{provider}/", content=encode_body(document), headers=headers)
    return response.status_code
