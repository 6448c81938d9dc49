"""The projection: everything that writes the profile Redis."""
