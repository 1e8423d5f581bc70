"""One module per use case: read, decide, write, answer. ``scoring.py`` is what eight of them share."""
