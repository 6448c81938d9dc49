"""Delivery receipts: what providers tell of messages after they took them."""
