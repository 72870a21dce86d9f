"""The fake agent as a program: script files, the log of exchanges, ``runagent-fake``."""
