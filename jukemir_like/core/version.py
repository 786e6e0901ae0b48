"""The version of the package, which stands in every result, header and image."""

__version__ = "0.1.0"
