"""OpenAPI descriptions of the write views."""
