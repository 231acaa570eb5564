"""The one kind of error a user is meant to read, and those of the operating system in the same words."""

from __future__ import annotations


class UserError(Exception):
    """A sentence for the user: names the key or file, what was found and what is accepted.

    The command line prints it without a traceback and exits with status 1.
    """


def system_sentence(error: OSError) -> str:
    """What the operating system refuses, such as room on a full disk: the file and why."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
