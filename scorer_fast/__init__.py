"""Fast, exact scoring endpoints for an existing Django project, taken over one at a time behind flags."""

__version__ = "0.1.0"
