"""The page in a real Chromium, against a real server process, over lines that can be cut."""
