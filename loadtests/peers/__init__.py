"""What Rollcall is compared with: the same profile read, as people usually build it.

Each peer reads the same Redis hash with one HMGET, checks the same token, and gives the same
answers; `loadtests.bench.equivalence` holds them to that. The Python peers do so by the same
functions of `domain`: what differs is the framework, the web server and the Redis client.
"""
