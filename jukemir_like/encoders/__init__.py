"""Neural encoders of others."""
