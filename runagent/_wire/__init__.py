"""Codecs: they know bytes and nothing of agents, sockets or clocks.

All decoders share one contract. ``feed`` returns what was good and never raises for what it is
given; a fault sets ``error``, and the next ``feed`` or ``close`` raises it. So nothing that
arrived before a bad byte is ever lost to the exception that the byte causes.
"""
