"""The whole server in virtual time: seeded members on seeded lines over a store that fails when the seed says so."""
