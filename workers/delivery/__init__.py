"""Deliveries behind one port: a development mailbox, SendGrid, Vonage. Plain Python, no Django."""

from workers.delivery.port import Delivery, DeliveryFailed, Message, Refused, TryAgain

__all__ = ["Delivery", "DeliveryFailed", "Message", "Refused", "TryAgain"]
