"""Pages for people: the link in the e-mail, and the development mailbox."""
