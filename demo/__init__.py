"""`make demo`: the slow host of the tests with this app installed, an admin, and traffic."""
