"""Measurements. Each module has ``section() -> str``: Markdown with figures and the reference they are compared with."""
