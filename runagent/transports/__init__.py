"""Transports: how a call becomes bytes, and bytes become events. No I/O happens here."""
