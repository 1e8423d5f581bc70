"""Contributions to grants, in the old grants program and in the protocol."""

from decimal import Decimal

from django.db import models

from api.fields import EthAddressField


class Profile(models.Model):
    """A person of the grants program."""

    handle = models.CharField(max_length=255, unique=True)
    data = models.JSONField(default=dict)
    github_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    notes = models.TextField(null=True, blank=True)

    def __str__(self) -> str:
        return self.handle


class Grant(models.Model):
    """A project that asks for contributions."""

    hidden = models.BooleanField(default=False, db_index=True)
    active = models.BooleanField(default=True, db_index=True)
    is_clr_eligible = models.BooleanField(default=True)
    data = models.JSONField(default=dict)
    admin_profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="grants_led")

    def __str__(self) -> str:
        return f"Grant #{self.pk}"


class Subscription(models.Model):
    """A person's standing promise to a grant, under which contributions are made."""

    data = models.JSONField(default=dict)
    contributor_profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, null=True, blank=True, related_name="subscriptions"
    )
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="subscriptions")
    is_mainnet = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"Subscription #{self.pk}"


class Contribution(models.Model):
    """One payment under a subscription; counts when it succeeded."""

    data = models.JSONField(default=dict)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="contributions")
    success = models.BooleanField(default=True)
    amount_per_period_usdt = models.DecimalField(max_digits=64, decimal_places=18, default=Decimal("0"))

    def __str__(self) -> str:
        return f"Contribution #{self.pk}"


class GrantContributionIndex(models.Model):
    """Contributions to grants by contributor, in US dollars."""

    round_num = models.IntegerField(null=True, blank=True)
    amount = models.DecimalField(max_digits=64, decimal_places=18, default=Decimal("0"), db_index=True)
    contribution = models.ForeignKey(
        Contribution, on_delete=models.CASCADE, null=True, blank=True, related_name="index_rows"
    )
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="index_rows")
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="index_rows")
    contributor_address = EthAddressField(max_length=100, null=True, blank=True, db_index=True)

    class Meta:
        verbose_name_plural = "grant contribution index"

    def __str__(self) -> str:
        return f"{self.amount} of {self.contributor_address} to grant #{self.grant_id}"


class ProtocolContributions(models.Model):
    """Contributions through the grants protocol, in US dollars."""

    ext_id = models.CharField(max_length=66, unique=True)
    contributor = EthAddressField(max_length=100, db_index=True)
    round = models.CharField(max_length=100, db_index=True)
    project = models.CharField(max_length=100, db_index=True)
    amount = models.DecimalField(max_digits=64, decimal_places=18, default=Decimal("0"), db_index=True)
    data = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "protocol contributions"

    def __str__(self) -> str:
        return f"{self.amount} of {self.contributor} to {self.project}"


class SquelchedAccounts(models.Model):
    """An address whose contributions of a round do not count."""

    address = EthAddressField(max_length=100, null=True, blank=True, db_index=True)
    score_when_squelched = models.DecimalField(max_digits=64, decimal_places=18)
    sybil_signal = models.BooleanField(default=False)
    round_number = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        verbose_name_plural = "squelched accounts"

    def __str__(self) -> str:
        return f"{self.address} in round {self.round_number}"


class RoundMapping(models.Model):
    """The contract addresses that make up a round."""

    round_number = models.CharField(max_length=100)
    round_eth_address = EthAddressField(max_length=100, db_index=True)

    class Meta:
        unique_together = [("round_number", "round_eth_address")]

    def __str__(self) -> str:
        return f"Round {self.round_number}: {self.round_eth_address}"
