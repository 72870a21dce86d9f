"""The fake agent as a program: story files, the log of exchanges, ``runagent-fake``."""
