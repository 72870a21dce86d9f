"""The version, in a module that costs nothing to import."""

__version__ = "1.0.0rc1"


def install_command(*extras: str) -> str:
    """Return how to install the package with ``extras``; without the bound pip may fetch another package."""
    return f'python -m pip install "runagent[{",".join(extras)}]>={__version__}"'
