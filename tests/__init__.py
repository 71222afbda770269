"""What Carets promises, and how it is shown."""
