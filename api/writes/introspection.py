"""Token introspection, which the read process serves: what the OpenAPI document says of it."""

from typing import Any, NoReturn

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.request import Request

from api.reads.introspection_body import FORM, JSON, MAX_TOKENS
from api.writes.base import NoStoreAPIView, refuse_misrouted
from api.writes.openapi import BACKEND_KEY, operation
from api.writes.response_serializers import ProfileSerializer


class IntrospectionFormSerializer(serializers.Serializer[Any]):
    """One token (RFC 7662 section 2.1)."""

    token = serializers.CharField()
    token_type_hint = serializers.CharField(required=False, help_text="It is ignored.")
    claims = serializers.ChoiceField(choices=["profile"], required=False)


class IntrospectionListSerializer(serializers.Serializer[Any]):
    """Many tokens, each once."""

    tokens = serializers.ListField(
        child=serializers.CharField(), min_length=1, max_length=MAX_TOKENS
    )
    claims = serializers.BooleanField(required=False, help_text="Whether to return profiles.")


class TokenStateSerializer(serializers.Serializer[Any]):
    """The state of a token (RFC 7662 section 2.2)."""

    active = serializers.BooleanField()
    sub = serializers.UUIDField(required=False, help_text="The person's id.")
    exp = serializers.IntegerField(required=False, help_text="Unix time at which it expires.")
    token_type = serializers.ChoiceField(choices=["Bearer"], required=False)
    claims = ProfileSerializer(required=False)


class TokenResultSerializer(TokenStateSerializer):
    """The state of one of many tokens, or `error`: it is to be asked for again."""

    active = serializers.BooleanField(required=False)
    error = serializers.ChoiceField(choices=["unavailable"], required=False)


class TokenResultsSerializer(serializers.Serializer[Any]):
    """The states of many tokens, in their order."""

    results = TokenResultSerializer(many=True)


class IntrospectionView(NoStoreAPIView):
    """Introspection of session tokens by the operator's backends."""

    @operation(
        "introspectToken",
        "Introspect tokens",
        {
            200: PolymorphicProxySerializer(
                component_name="Introspection",
                serializers=[TokenStateSerializer, TokenResultsSerializer],
                resource_type_field_name=None,
            )
        },
        body={FORM: IntrospectionFormSerializer, JSON: IntrospectionListSerializer},
        security=BACKEND_KEY,
    )
    def post(self, request: Request) -> NoReturn:
        """Served by the read process: a backend sends its own key, and a form with one token, or
        JSON with up to 1,000.
        """
        refuse_misrouted("introspection_misrouted")
