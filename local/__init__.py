"""Runs servers and Rollcall's processes on this machine, for `make run`, tests and load tests.

The product does not import this package.
"""
