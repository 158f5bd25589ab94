"""certd: keeps the TLS certificates of Apache servers renewed, unattended, for years."""

__version__ = "0.1.0"
