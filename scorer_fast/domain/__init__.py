"""What scoring means, as pure functions: rows and ``now`` in, decisions out. Imports nothing of Django."""
