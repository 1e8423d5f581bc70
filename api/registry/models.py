"""Passports, the stamps that count, scores, links of nullifiers, events, human points, weight sets."""

from django.db import models

from api.account.models import Community
from api.fields import EthAddressField


class Passport(models.Model):
    """An address within a community."""

    community = models.ForeignKey(Community, on_delete=models.CASCADE, null=True, blank=True, related_name="passports")
    address = EthAddressField(max_length=100, null=True, blank=True, db_index=True)
    requires_calculation = models.BooleanField(null=True, blank=True)

    class Meta:
        unique_together = [("address", "community")]

    def __str__(self) -> str:
        return f"Passport #{self.pk} {self.address}"


class Stamp(models.Model):
    """A stamp that counted when its passport was last scored."""

    provider = models.CharField(max_length=256, default="", db_index=True)
    credential = models.JSONField(default=dict)
    passport = models.ForeignKey(Passport, on_delete=models.CASCADE, null=True, blank=True, related_name="stamps")

    def __str__(self) -> str:
        return f"Stamp #{self.pk} {self.provider}"


class Score(models.Model):
    """The last score of a passport; `evidence` holds the sum of weights, `score` whether it passed."""

    class Status(models.TextChoices):
        PROCESSING = "PROCESSING", "Processing"
        BULK_PROCESSING = "BULK_PROCESSING", "Bulk processing"
        DONE = "DONE", "Done"
        ERROR = "ERROR", "Error"

    score = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    passport = models.OneToOneField(Passport, on_delete=models.CASCADE, related_name="score")
    error = models.TextField(null=True, blank=True)
    last_score_timestamp = models.DateTimeField(null=True, blank=True, db_index=True)
    status = models.CharField(max_length=20, choices=Status.choices, null=True, blank=True, default=None, db_index=True)
    evidence = models.JSONField(null=True, blank=True)
    stamp_scores = models.JSONField(null=True, blank=True)
    expiration_date = models.DateTimeField(null=True, blank=True, db_index=True)
    stamps = models.JSONField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Score #{self.pk}: {self.score}"


class Event(models.Model):
    """Something that happened to an address: a new score, a stamp lost to another address."""

    class Action(models.TextChoices):
        FIFO_DEDUPLICATION = "FDP", "FIFO deduplication"
        LIFO_DEDUPLICATION = "LDP", "LIFO deduplication"
        SCORE_UPDATE = "SCU", "Score update"

    action = models.CharField(max_length=3, choices=Action.choices)
    address = EthAddressField(max_length=42, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    data = models.JSONField()
    community = models.ForeignKey(Community, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")

    class Meta:
        indexes = [
            models.Index(fields=["action", "address", "community", "created_at"], name="registry_event_by_address"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.address}"


class HashScorerLink(models.Model):
    """Which address holds a nullifier in a community, and until when. One owner, never two."""

    hash = models.CharField(max_length=100, db_index=True)
    address = EthAddressField(max_length=42, db_index=True)
    expires_at = models.DateTimeField(db_index=True)
    community = models.ForeignKey(Community, on_delete=models.CASCADE, related_name="hash_links")

    class Meta:
        unique_together = [("hash", "community")]

    def __str__(self) -> str:
        return f"{self.hash} of {self.address}"


class GTCStakeEvent(models.Model):
    """Staking on oneself or another in the first staking contract, kept per round."""

    class EventType(models.TextChoices):
        SELF_STAKE = "SelfStake", "Self stake"
        CROSS_STAKE = "Xstake", "Cross stake"

    event_type = models.CharField(max_length=15, choices=EventType.choices)
    round_id = models.IntegerField(db_index=True)
    staker = EthAddressField(max_length=42, db_index=True)
    address = EthAddressField(max_length=42, null=True, blank=True, db_index=True)
    amount = models.DecimalField(max_digits=78, decimal_places=18)
    staked = models.BooleanField()
    block_number = models.IntegerField()
    tx_hash = models.CharField(max_length=66)

    class Meta:
        verbose_name = "GTC stake event"
        indexes = [
            models.Index(fields=["round_id", "address", "staker"], name="registry_gtc_round_addr_staker"),
            models.Index(fields=["round_id", "staker"], name="registry_gtc_round_staker"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} of {self.staker} in round {self.round_id}"


class HumanPointsAction(models.TextChoices):
    """What earns human points."""

    SCORING_BONUS = "SCB", "Qualified in four communities"
    HUMAN_KEYS = "HKY", "Human keys"
    PASSPORT_MINT = "PMT", "Passport mint"
    IDENTITY_STAKING_BRONZE = "ISB", "Identity staking, bronze"
    IDENTITY_STAKING_SILVER = "ISS", "Identity staking, silver"
    IDENTITY_STAKING_GOLD = "ISG", "Identity staking, gold"
    COMMUNITY_STAKING_BEGINNER = "CSB", "Community staking, beginner"
    COMMUNITY_STAKING_EXPERIENCED = "CSE", "Community staking, experienced"
    COMMUNITY_STAKING_TRUSTED = "CST", "Community staking, trusted citizen"
    HUMAN_ID_MINT = "HIM", "Human ID mint"
    HUMAN_ID_GOV_ID = "HGO", "Government ID"
    HUMAN_ID_PHONE = "HPH", "Phone"
    HUMAN_ID_CLEAN_HANDS = "HCH", "Clean hands"
    HUMAN_ID_BIOMETRICS = "HBI", "Biometrics"
    METAMASK_TASK = "MTA", "MetaMask task"
    METAMASK_OG = "MM2", "MetaMask OG"
    SEASONED_PASSPORT_OG = "SOG", "Seasoned Passport OG"
    THE_CHOSEN_ONES = "TCO", "The chosen ones"


class HumanPoints(models.Model):
    """An action that earned an address points. No value in `tx_hash` and `provider` is the empty string."""

    address = EthAddressField(max_length=42, db_index=True)
    action = models.CharField(max_length=3, choices=HumanPointsAction.choices, db_index=True)
    timestamp = models.DateTimeField(auto_now_add=True)
    tx_hash = models.CharField(max_length=100, blank=True, default="")
    chain_id = models.IntegerField(default=0, db_index=True, help_text="Chain the action took place on; 0: none.")
    provider = models.CharField(max_length=100, blank=True, default="", db_index=True)

    class Meta:
        verbose_name_plural = "human points"
        constraints = [
            models.UniqueConstraint(
                fields=["address", "action", "chain_id", "provider", "tx_hash"],
                name="registry_humanpoints_once",
            ),
        ]
        indexes = [
            models.Index(fields=["address", "action"], name="registry_hp_address_action"),
            models.Index(fields=["chain_id", "action"], name="registry_hp_chain_action"),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.address}"


class HumanPointsConfig(models.Model):
    """How many points an action earns, and whether it does now."""

    action = models.CharField(max_length=3, choices=HumanPointsAction.choices, unique=True)
    points = models.IntegerField()
    active = models.BooleanField(default=True, db_index=True)

    class Meta:
        verbose_name = "human points config"
        indexes = [
            models.Index(fields=["action", "active"], name="registry_hpc_action_active"),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.points}"


class HumanPointsMultiplier(models.Model):
    """Multiplier told to an address with its points."""

    address = EthAddressField(max_length=42, primary_key=True)
    multiplier = models.IntegerField(default=2)

    def __str__(self) -> str:
        return f"{self.address}: x{self.multiplier}"


class HumanPointsCommunityQualifiedUsers(models.Model):
    """An address that passed in a community of the points program."""

    address = EthAddressField(max_length=42, db_index=True)
    community = models.ForeignKey(Community, on_delete=models.CASCADE, related_name="qualified_users")

    class Meta:
        verbose_name = "human points qualified user"
        constraints = [
            models.UniqueConstraint(fields=["address", "community"], name="registry_hpcqu_once_per_community"),
        ]
        # The host has this index twice, from the column and from here.
        indexes = [models.Index(fields=["address"], name="registry_hpcqu_address")]

    def __str__(self) -> str:
        return f"{self.address} in community #{self.community_id}"


class PlatformMetadata(models.Model):
    """A platform that providers belong to, by the id that the widget knows it by."""

    platform_id = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "platform metadata"

    def __str__(self) -> str:
        return self.name


class StampMetadata(models.Model):
    """What is known of a provider apart from its weight."""

    provider = models.CharField(max_length=100, unique=True)
    is_beta = models.BooleanField(default=False)
    platform = models.ForeignKey(
        PlatformMetadata, on_delete=models.SET_NULL, null=True, blank=True, related_name="providers"
    )

    class Meta:
        verbose_name_plural = "stamp metadata"

    def __str__(self) -> str:
        return self.provider


class WeightConfiguration(models.Model):
    """A versioned set of weights; at most one is active."""

    version = models.CharField(max_length=50, unique=True)
    active = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    threshold = models.FloatField()
    description = models.TextField(null=True, blank=True)
    csv_source = models.CharField(
        max_length=100, null=True, blank=True, help_text="Name of the file the weights came from."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["active"], condition=models.Q(active=True), name="registry_weightconfig_one_active"
            ),
        ]

    def __str__(self) -> str:
        return f"Weights {self.version}"


class WeightConfigurationItem(models.Model):
    """A provider's weight in a set."""

    provider = models.CharField(max_length=100)
    weight = models.FloatField()
    weight_configuration = models.ForeignKey(WeightConfiguration, on_delete=models.CASCADE, related_name="items")
    stamp_metadata = models.ForeignKey(
        StampMetadata, on_delete=models.SET_NULL, null=True, blank=True, related_name="weights"
    )

    class Meta:
        unique_together = [("weight_configuration", "provider")]

    def __str__(self) -> str:
        return f"{self.provider}: {self.weight}"
