"""`make bench`: how fast Rollcall is, beside its peers and by itself."""
