"""The host's Lambda functions: a handler per operation, named after it, behind no middleware and no URL.

As in the host they stand for, importing one loads the secrets into the environment and sets Django up.
"""
