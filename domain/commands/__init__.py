"""The commands: frozen dataclasses, and the functions that execute them.

Each takes a factory of units of work, and the keyring where it derives or verifies a secret. Each
returns what follows the commit: the state to project and the outbox entries to enqueue.
"""
