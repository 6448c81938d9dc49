"""Delivery receipts: what providers report of messages after accepting them."""
