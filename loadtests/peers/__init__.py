"""The peers of the benchmark: the same profile read in the usual frameworks.

Each peer reads the same Redis hash with one HMGET, checks the same token, and sends the same
responses, as `loadtests.bench.equivalence` checks. The Python peers use the functions of `domain`:
only framework, web server and Redis client differ.
"""
