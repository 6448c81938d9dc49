"""Entities, value objects and errors: plain Python, no Django, no Redis, no clock."""
