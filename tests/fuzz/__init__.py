"""Hostile input at length: Yjs updates that know their grammar, and bytes that follow coverage."""
