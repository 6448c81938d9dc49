"""The repositories of a unit of work, one module for each part of the domain."""
