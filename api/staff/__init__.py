"""A person's history and the actions for staff; `api.admin` has the pages."""
