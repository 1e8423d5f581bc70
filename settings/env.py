"""Settings from environment variables. An empty variable counts as unset: that is how most
deployment tools write "no value"."""

import os

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def text(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


def required(name: str, meaning: str) -> str:
    """The variable's value; where it is missing the start-up ends here and says what to set."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(f"Set the environment variable {name}: {meaning}.")
    return value


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false (or 1/0, yes/no, on/off), not {value!r}.")


def number(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A list separated by commas; blanks around the words do not count."""
    value = os.environ.get(name, "")
    if not value.strip():
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def required_words(name: str, meaning: str) -> list[str]:
    required(name, meaning)
    return words(name)
