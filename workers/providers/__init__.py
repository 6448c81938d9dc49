"""Providers, which send messages: SendGrid (e-mail), Vonage (SMS), and the development mailbox.

To add one, write a module here with a class that implements `base.Provider` and whose constructor
takes the settings, and put it into the table of `registry`. An SDK that sends with requests is
given an `http.ProviderSession`; what it needs to know is read from the settings (settings/base.py).
"""
