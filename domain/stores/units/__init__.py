"""What a unit of work can do on Postgres, one module for each kind of work."""
