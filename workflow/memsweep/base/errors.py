"""The one kind of error a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """A sentence for the user: names the key or file, what was found and what is accepted.

    The command line prints it without a traceback and exits with status 1.
    """
