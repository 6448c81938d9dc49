"""HTTP: what clients, browsers and probes see."""
