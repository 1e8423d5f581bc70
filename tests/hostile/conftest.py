from tests.factories.fixtures import host_settings, one

__all__ = ["host_settings", "one"]
