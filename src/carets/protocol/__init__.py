"""What travels between client and server, and what is let in: pure, without input or output."""
