"""What keeps the promises of ``rooms.store``: one module for each place to keep things."""
