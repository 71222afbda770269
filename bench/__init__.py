"""Benchmarks: what things cost here, printed, never asserted."""
