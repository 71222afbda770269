"""Attacks, one test each. Its docstring is its story: who attacks, how, what it would win, what happens instead."""
