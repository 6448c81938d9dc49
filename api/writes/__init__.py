"""The write views: each validates, executes one command, and returns one response."""
