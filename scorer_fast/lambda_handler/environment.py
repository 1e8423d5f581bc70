"""The names of the function's environment that this app reads."""

HOST_HANDLER = "SCORER_FAST_HOST_HANDLER"
SETUP = "SCORER_FAST_LAMBDA_SETUP"
