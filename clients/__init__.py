"""The clients of the API, and what generates them."""
