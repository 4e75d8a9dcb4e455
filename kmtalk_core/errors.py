"""Errors that a user can cause. Their message is one sentence that names what is wrong and the remedy."""


class KMTalkError(Exception):
    """Something went wrong that the user can mend; the command line exits with status 1."""


class InputError(KMTalkError):
    """The input cannot be used as it is; the command line exits with status 2."""


class Cancelled(KMTalkError):
    """The user cancelled the work; nothing was written."""
