"""Stakes on oneself and on others in the staking contracts."""

from django.db import models

from api.fields import EthAddressField


class Stake(models.Model):
    """What one address holds staked on another (or on itself) on a chain, as of a block."""

    class Chain(models.IntegerChoices):
        ETHEREUM = 1, "Ethereum"
        OPTIMISM = 10, "Optimism"
        ARBITRUM = 42161, "Arbitrum"

    chain = models.IntegerField(choices=Chain.choices, db_index=True)
    lock_time = models.DateTimeField()
    unlock_time = models.DateTimeField()
    # Blocks go up to 2^256 - 1: beyond any integer column.
    last_updated_in_block = models.DecimalField(max_digits=78, decimal_places=0, db_index=True)
    staker = EthAddressField(max_length=42, db_index=True)
    stakee = EthAddressField(max_length=42, db_index=True)
    current_amount = models.DecimalField(max_digits=78, decimal_places=18)

    class Meta:
        unique_together = [("staker", "stakee", "chain")]

    def __str__(self) -> str:
        return f"{self.current_amount} of {self.staker} on {self.stakee}"
