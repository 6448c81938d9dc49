"""The web server: HTTP/1.1 over httptools' parser, in worker processes that gunicorn looks after.

Written here, and not taken, for two reasons that were measured: a read costs half of what it does
behind a server that hands every request to a coroutine of its own, and a process that is told to
end answers whatever still comes on its connections.
"""
