"""The texts of the messages: pure functions, no Django."""
