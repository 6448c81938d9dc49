"""The domain, and (in `stores`) its storage."""
