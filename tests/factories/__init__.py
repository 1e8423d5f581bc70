"""Rows to ask about, requests to ask with, and whole table states to compare.

Signed credentials come from ``api.demo_issuer``, accounts and communities from ``tests.host.world``.
"""
