"""Attacks on whoever looks at the page, in a real browser."""
