"""The connection of the read process to the profile Redis."""
