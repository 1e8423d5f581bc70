"""Model fields the apps share."""

from typing import Any

from django.core.validators import RegexValidator
from django.db import models

validate_address = RegexValidator(
    regex=r"\A(0[xX])?[0-9a-fA-F]{40}\Z",
    message="Enter an address of 20 bytes in hexadecimal, such as 0x and 40 digits.",
)


class EthAddressField(models.CharField):
    """An Ethereum address, always stored in lower case; forms also check its shape."""

    description = "Ethereum address in lower case (up to %(max_length)s)"
    default_validators = [validate_address]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 100)
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.lower() if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):
            value = value.lower()
            setattr(model_instance, self.attname, value)
        return value
