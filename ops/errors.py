"""What a command of the command line says when it cannot do its work."""


class Fault(Exception):
    """One sentence on what happened and one on what to do; the exit code is 1."""
