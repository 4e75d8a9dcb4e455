"""Errors that a user can cause. Their message is one sentence that names what is wrong and the remedy."""

import errno


class KMTalkError(Exception):
    """Something went wrong that the user can mend; the command line exits with status 1."""


class InputError(KMTalkError):
    """The input cannot be used as it is; the command line exits with status 2."""


class StorageError(KMTalkError):
    """The disk is full or read-only: whatever else is written there will fail, too."""


class Cancelled(KMTalkError):
    """The user cancelled the work; nothing was written."""


def shortened(text: object, longest: int = 60) -> str:
    """What a user wrote as one line of at most `longest` letters, for messages; its middle is left out."""
    written = str(text)
    half = (longest - 1) // 2
    if len(written) > 4 * longest:  # a cell may hold megabytes
        written = f"{written[: 2 * longest]}{written[-2 * longest :]}"
    line = " ".join("".join(c if c.isprintable() else " " for c in written).split())
    return line if len(line) <= longest and len(str(text)) <= 4 * longest else f"{line[:half]}…{line[-half:]}"


def storage_trouble(error: OSError) -> str:
    """What to say of a file that cannot be read or written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "The disk is full; free some space (temporary files need some, too) and try again."
    return f"{error.filename or 'A file'} cannot be used ({error.strerror or error}); check path and permissions."
