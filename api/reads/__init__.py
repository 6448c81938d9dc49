"""The read process: a profile read is one HMGET and the stored bytes. No Django, no SQL."""
