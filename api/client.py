"""The names that `api.bridge` and `api.limits` know; see `api.client_ip`. Goes with the bridge."""

from api.client_ip import client_network as network_of
from api.client_ip import get_client_ip as client_of

__all__ = ["client_of", "network_of"]
