"""Faults of processes: suspended, and killed with their children."""

from loadtests.faults.signals import child_pids, kill, resume, suspend, suspended

__all__ = ["child_pids", "kill", "resume", "suspend", "suspended"]
