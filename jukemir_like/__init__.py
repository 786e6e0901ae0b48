"""Which representation of audio knows what about music? From folders of audio to probes and a results page."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jukemir-like")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
