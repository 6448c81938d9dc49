"""The state of a token, as introspection responds with it (RFC 7662 section 2.2)."""

from binascii import hexlify
from collections.abc import Sequence

from domain import profile
from domain.model.session_token import TokenClaims

INACTIVE = b'{"active":false}'
UNAVAILABLE = b'{"error":"unavailable"}'  # of one of many tokens: to be asked for again
_ACTIVE = b'{"active":true,"sub":"%b-%b-%b-%b-%b","exp":%b,"token_type":"Bearer"'


def render_token(
    token: TokenClaims, reply: Sequence[bytes | None], now: float, *, with_claims: bool
) -> bytes:
    """Returns the JSON object of a token, from the reply to HMGET at Unix time `now`;
    `with_claims`: with the stored profile.

    Raises `CacheMiss` and `InvalidToken` as `domain.profile.decode_reply` does.
    """
    body, _ = profile.decode_reply(token, reply, now)
    hex_id = hexlify(token.person_id_bytes)
    state = _ACTIVE % (
        hex_id[:8], hex_id[8:12], hex_id[12:16], hex_id[16:20], hex_id[20:], reply[3],
    )  # fmt: skip  # without a list of them, which costs as much as the formatting
    return b'%b,"claims":%b}' % (state, body) if with_claims else state + b"}"
