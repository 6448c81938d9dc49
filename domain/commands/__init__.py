"""What people can do to Rollcall: frozen commands, and the functions that carry them out.

Each takes the units of work it may open, and the server's keys where it makes or checks a secret.
Each returns what has to follow the commit: a profile to publish and outbox rows to wake.
"""
