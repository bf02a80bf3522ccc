"""The error of this package."""


class DataError(ValueError):
    """Something about the data on disk or its configuration is wrong; the message names the thing and the remedy."""
