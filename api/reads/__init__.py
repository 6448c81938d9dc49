"""The query side: a profile read is one HMGET and the stored octets. No Django, no SQL."""
