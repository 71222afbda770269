"""A server under a crowd that comes and goes for a long time: does it hold its memory, its tasks, its files, its word?

``python -m tests.soak`` starts a server (`host`) and generators (`crowd`) of members (`member`), who write down what
they typed, saw and were told (`ledger`), samples the server (`watch`), judges (`run`) and prints (`table`).
"""
