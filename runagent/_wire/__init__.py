"""Codecs of wire formats: they handle bytes, and know no agents, sockets or clocks.

All decoders share one contract. ``feed`` never raises because of the bytes that it gets: it returns
everything before the first bad byte and sets ``error``, which the next ``feed`` or ``close`` raises. So no
good data is lost to the exception that a later byte causes.
"""
