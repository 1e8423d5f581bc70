from tests.factories import properties

__all__ = ["properties"]
