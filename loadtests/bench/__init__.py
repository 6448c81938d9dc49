"""`make bench`: Rollcall's performance, alone and compared with its peers."""
