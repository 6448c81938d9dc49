"""Messages: what each one says (`drafts`), and how it is rendered in a language (`rendering`)."""
