"""The command side: each view validates, carries out one command, and gives one answer."""
