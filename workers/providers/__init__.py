"""Message providers behind one port: a development mailbox, SendGrid, Vonage. Without Django."""

from workers.providers.base import Message, PermanentFailure, Provider, SendError, TemporaryFailure

__all__ = ["Message", "PermanentFailure", "Provider", "SendError", "TemporaryFailure"]
