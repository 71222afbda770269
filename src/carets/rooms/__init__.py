"""Workspaces while they are open: no sockets, no SQL."""
