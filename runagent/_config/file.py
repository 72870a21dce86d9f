"""The configuration file's bytes: where they are, and who else could have written or can read them."""

from __future__ import annotations

import os
import stat

import msgspec

__all__ = ["ConfigFile", "find_config_file", "read_config_file", "writers"]

DEFAULT_CONFIG_FILE = "~/.runagent/config.json"
MAX_CONFIG_BYTES = 1024 * 1024

_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ConfigFile(msgspec.Struct, frozen=True):
    """The content of a configuration file, and its exposure to other users.

    Attributes:
        path: The absolute path.
        data: The file's bytes.
        writable: Why users other than this one and root can change its content; "" if they cannot.
        readable: Whether other users can read it.
    """

    path: str
    data: bytes
    writable: str = ""
    readable: bool = False


def find_config_file(named: str) -> str:
    """Return the absolute path of the file, or "" if none was named and this user has no home.

    Args:
        named: The value of ``RUNAGENT_CONFIG``; "" for the default.

    Raises:
        ValueError: The path depends on the working directory, or on a home that this user does not have.
    """
    path = os.path.expanduser(named or DEFAULT_CONFIG_FILE)  # noqa: PTH111 - Path raises if there is no home
    if os.path.isabs(path):  # noqa: PTH117  # pathlib is slow to import
        return path
    if not named:
        return ""  # a file in the working directory could send the key to an address of its owner's choice
    why = "this user has no home directory" if path.startswith("~") else "expected an absolute path"
    raise ValueError(why)


def read_config_file(path: str) -> ConfigFile:
    """Read a regular file; reject a device, a pipe or a directory without waiting for it.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, or not a regular file.
    """
    _need_regular(os.stat(path))  # noqa: PTH116  # before it is opened, as opening a device may have effects
    with open(path, "rb", opener=_open_at_once) as file:  # as above
        about = os.fstat(file.fileno())
        _need_regular(about)
        data = file.read(MAX_CONFIG_BYTES + 1)
    if len(data) > MAX_CONFIG_BYTES:
        raise ValueError(f"larger than {MAX_CONFIG_BYTES} bytes")
    if os.name != "posix":
        return ConfigFile(path, data)
    return ConfigFile(path, data, writers(path, about), bool(about.st_mode & _OTHERS_READ))


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _need_regular(about: os.stat_result) -> None:
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(21, "Is a directory")
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is not a regular file")


def writers(path: str, about: os.stat_result) -> str:
    """Describe why other users can change a file, or put another one in its place; "" if they cannot."""
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120  # as above
    around = os.stat(folder)  # noqa: PTH116  # as above
    if about.st_mode & _OTHERS_WRITE:
        return f"can be changed by other users; run: chmod go-w {path}"
    if around.st_mode & _OTHERS_WRITE and not around.st_mode & stat.S_ISVTX:
        return f"can be replaced by other users; run: chmod go-w {folder}"
    if not {about.st_uid, around.st_uid} <= {0, os.geteuid()}:
        return "belongs to another user, or lies in a folder that does"
    return ""
