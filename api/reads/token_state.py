"""The state of a token, as introspection responds with it (RFC 7662 section 2.2)."""

from binascii import hexlify

from domain.model.session_token import TokenClaims

INACTIVE = b'{"active":false}'
UNAVAILABLE = b'{"error":"unavailable"}'  # of one of many tokens: to be asked for again
_ACTIVE = b'{"active":true,"sub":"%b-%b-%b-%b-%b","exp":%d,"token_type":"Bearer"'


def render_token(token: TokenClaims, body: bytes, expiry: int, *, with_claims: bool) -> bytes:
    """Returns the JSON object of an active token, which ends at `expiry`; `with_claims`: with the
    stored profile, `body`.
    """
    hex_id = hexlify(token.person_id_bytes)
    state = _ACTIVE % (
        hex_id[:8], hex_id[8:12], hex_id[12:16], hex_id[16:20], hex_id[20:], expiry,
    )  # fmt: skip  # without a list of them, which costs as much as the formatting
    return b'%b,"claims":%b}' % (state, body) if with_claims else state + b"}"
