"""HTTP: the read process, the write process, pages and probes."""
