"""Metrics of all processes, shared through files where several run on one machine."""
