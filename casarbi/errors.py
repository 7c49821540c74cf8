"""The one exception a user can mend."""


class CasarbiError(Exception):
    """A problem with what the user gave; its text is one clear sentence that names the thing and the mend.

    The command line prints the text and exits with 1; a traceback is shown for any other exception, because that
    is a bug of ours.
    """
