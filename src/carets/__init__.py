"""Carets: a self-hosted, real-time collaborative code editor."""

__version__ = "0.1.0"
