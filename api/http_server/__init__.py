"""HTTP/1.1 server for the read process: llhttp and uvloop, in worker processes of gunicorn.

Its reason is CPU: the same reads behind a server that runs a coroutine for each request cost about
1.7 times as much (`make bench ARGS=reads`, granian).
"""
