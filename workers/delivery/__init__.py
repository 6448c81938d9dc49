"""Deliveries behind one port: a development mailbox, SendGrid, Vonage. Plain Python, no Django."""

from workers.delivery.port import Message, PermanentFailure, Provider, SendError, TemporaryFailure

__all__ = ["Message", "PermanentFailure", "Provider", "SendError", "TemporaryFailure"]
