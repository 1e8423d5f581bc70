"""The host's tables as Django apps: the same labels, tables, columns, keys and indexes."""
