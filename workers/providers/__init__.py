"""Providers, which send messages: SendGrid or SMTP (e-mail), Vonage (SMS), a webhook (both), and
the development mailbox.

To add one, write a module here with a class that implements `base.Provider` and whose constructor
takes the settings, and put it into the table of `registry`. An SDK that sends with requests is
given an `http.ProviderSession`. Its settings belong to settings/messages.py, those that production
requires to settings/prod.py too, the module to the contract "Providers and drafts of messages
are plain Python" in pyproject.toml, and its delivery receipts to api/webhooks.
"""
