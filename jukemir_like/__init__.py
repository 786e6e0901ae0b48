"""Which representation of audio knows what about music? From folders of audio to probes and a results page."""

__version__ = "0.1.0"
