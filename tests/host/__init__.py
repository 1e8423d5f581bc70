"""A small host with slow views of its own: baseline of the benchmark, other side of races and shadows.

Written from the contract the way the host it stands for works: Django's ORM in coroutines behind
`async_to_sync`, a statement per row, every signature checked and every counting stamp rewritten at each
scoring, no transaction around it. `test_statements.py` pins how many statements that makes.
"""
