"""What `make run`, the tests and the load runs share: real servers and processes on this machine.

Nothing in the product imports this package.
"""
