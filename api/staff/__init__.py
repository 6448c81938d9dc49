"""What staff see of a person, and may do for them; `api.admin` has the pages."""
