"""One handler for each kind of outbox entry that sends a message."""
