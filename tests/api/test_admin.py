"""The admin's pages as a superuser sees them: every list, every form, and a key that is shown once."""

import hashlib
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from api.account.models import (
    Account,
    AccountAPIKey,
    AddressList,
    AddressListMember,
    AllowList,
    Community,
    CustomCredential,
    CustomCredentialRuleset,
    Customization,
    CustomPlatform,
    EmbedSectionHeader,
    EmbedSectionOrder,
    EmbedStampPlatform,
    hash_key_sha256,
)
from api.ceramic_cache.models import Ban, BanList, CeramicCache, Revocation, RevocationList
from api.cgrants.models import (
    Grant,
    GrantContributionIndex,
    Profile,
    ProtocolContributions,
    RoundMapping,
    SquelchedAccounts,
)
from api.registry.models import (
    GTCStakeEvent,
    HashScorerLink,
    HumanPoints,
    HumanPointsConfig,
    HumanPointsMultiplier,
    Passport,
    PlatformMetadata,
    Score,
    StampMetadata,
    WeightConfiguration,
    WeightConfigurationItem,
)
from api.scorer_weighted.models import BinaryWeightedScorer, Scorer, WeightedScorer
from api.stake.models import Stake

pytestmark = pytest.mark.django_db

LABELS = {"account", "registry", "ceramic_cache", "scorer_weighted", "stake", "cgrants"}
EDITED = {
    Account,
    AccountAPIKey,
    AddressList,
    AddressListMember,
    Ban,
    BanList,
    BinaryWeightedScorer,
    Community,
    CustomCredentialRuleset,
    Customization,
    CustomPlatform,
    EmbedSectionHeader,
    HumanPointsConfig,
    HumanPointsMultiplier,
    PlatformMetadata,
    Revocation,
    RevocationList,
    RoundMapping,
    SquelchedAccounts,
    StampMetadata,
    WeightConfiguration,
    WeightedScorer,
}
# Made by programs, or under another page: these have no add page.
LOOKED_UP = {
    CeramicCache,
    GrantContributionIndex,
    GTCStakeEvent,
    HashScorerLink,
    HumanPoints,
    ProtocolContributions,
    Score,
    Scorer,
    Stake,
}
ADDRESS = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20


def page(model: type[Model], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def name_of(model: type[Model]) -> str:
    return model.__name__


@pytest.fixture
def superuser() -> User:
    return User.objects.create(username="root", password="!", is_staff=True, is_superuser=True)


@pytest.fixture
def browser(client: Client, superuser: User) -> Client:
    client.force_login(superuser)
    return client


@pytest.fixture
def account() -> Account:
    return Account.objects.create(address=ADDRESS, user=User.objects.create_user("owner"))


@pytest.fixture
def community(account: Account) -> Community:
    scorer = BinaryWeightedScorer.objects.create(weights={"Google": "1.5", "Ens": 2}, threshold=Decimal("20"))
    return Community.objects.create(name="Friends", account=account, scorer=scorer)


@pytest.fixture
def rows(account: Account, community: Community) -> dict[type[Model], Model]:
    """One row of every model that has pages."""
    now = timezone.now()
    key, _ = AccountAPIKey.objects.create_key(name="first", account=account)
    address_list = AddressList.objects.create(name="OGs")
    member = AddressListMember.objects.create(list=address_list, address=ADDRESS)
    customization = Customization.objects.create(path="friends", partner_name="Friends", scorer=community)
    AllowList.objects.create(weight=Decimal("1"), address_list=address_list, customization=customization)
    platform = CustomPlatform.objects.create(name="platform")
    ruleset = CustomCredentialRuleset.objects.create(name="r", provider_id="DeveloperList#r", definition={})
    CustomCredential.objects.create(display_name="c", customization=customization, platform=platform, ruleset=ruleset)
    stamp = CeramicCache.objects.create(address=ADDRESS, provider="Google", proof_value="proof")
    revocation_list = RevocationList.objects.create(name="revoked")
    revocation = Revocation.objects.create(proof_value="proof", ceramic_cache=stamp, revocation_list=revocation_list)
    ban_list = BanList.objects.create(name="banned")
    profile = Profile.objects.create(handle="giver")
    grant = Grant.objects.create(admin_profile=profile)
    weights = WeightConfiguration.objects.create(version="1", active=True, threshold=20)
    metadata = StampMetadata.objects.create(provider="Google")
    WeightConfigurationItem.objects.create(
        weight_configuration=weights, provider="Google", weight=1.5, stamp_metadata=metadata
    )
    section = EmbedSectionHeader.objects.create(name="Section")
    shown = PlatformMetadata.objects.create(platform_id="Google", name="Google")
    EmbedSectionOrder.objects.create(customization=customization, section=section)
    EmbedStampPlatform.objects.create(customization=customization, section=section, platform=shown)
    objects: list[Model] = [
        section,
        shown,
        account,
        key,
        address_list,
        member,
        customization,
        platform,
        ruleset,
        stamp,
        revocation_list,
        revocation,
        ban_list,
        community,
        Scorer.objects.get(pk=community.scorer_id),
        BinaryWeightedScorer.objects.get(pk=community.scorer_id),
        WeightedScorer.objects.create(weights=None),
        Ban.objects.create(type="account", address=ADDRESS, ban_list=ban_list, end_time=now),
        GrantContributionIndex.objects.create(grant=grant, profile=profile, contributor_address=ADDRESS),
        ProtocolContributions.objects.create(ext_id="1", contributor=ADDRESS, round="r", project="p"),
        RoundMapping.objects.create(round_number="1", round_eth_address=OTHER),
        SquelchedAccounts.objects.create(address=ADDRESS, score_when_squelched=Decimal("1")),
        GTCStakeEvent.objects.create(
            event_type="SelfStake",
            round_id=1,
            staker=ADDRESS,
            amount=Decimal("1"),
            staked=True,
            block_number=1,
            tx_hash="0x",
        ),
        HashScorerLink.objects.create(hash="v0:x", address=ADDRESS, expires_at=now, community=community),
        HumanPoints.objects.create(address=ADDRESS, action="SCB"),
        HumanPointsConfig.objects.create(action="SCB", points=100),
        HumanPointsMultiplier.objects.create(address=ADDRESS),
        Score.objects.create(passport=Passport.objects.create(address=ADDRESS, community=community), score=1),
        metadata,
        weights,
        Stake.objects.create(
            chain=1,
            lock_time=now,
            unlock_time=now,
            last_updated_in_block=2**256 - 1,
            staker=ADDRESS,
            stakee=OTHER,
            current_amount=Decimal("1"),
        ),
    ]
    return {type(row): row for row in objects}


def test_the_models_with_pages() -> None:
    """A model that gets an admin page gets its tests here."""
    registered = {model for model in admin.site._registry if model._meta.app_label in LABELS}
    assert registered == EDITED | LOOKED_UP
    assert "rest_framework_api_key" not in {model._meta.app_label for model in admin.site._registry}


@pytest.mark.parametrize("model", sorted(EDITED | LOOKED_UP, key=name_of), ids=name_of)
def test_lists_and_forms_load(model: type[Model], browser: Client, rows: dict[type[Model], Model]) -> None:
    row = rows[model]
    listed = browser.get(page(model, "changelist"))
    assert listed.status_code == 200
    assert listed.context["cl"].result_count >= 1

    searched = browser.get(page(model, "changelist"), {"q": ADDRESS})
    assert searched.status_code == 200, searched.headers

    added = browser.get(page(model, "add"))
    assert added.status_code == (200 if model in EDITED else 403)

    identifier = row.prefix if isinstance(row, AccountAPIKey) else quote(row.pk)
    shown = browser.get(page(model, "change", identifier))
    assert shown.status_code == 200
    refused = browser.post(page(model, "change", identifier), {"csv_file": "x" * 1025})
    assert refused.status_code == (403 if model in LOOKED_UP - {Scorer} else 302 if model is Scorer else 200)


def test_no_page_for_strangers(client: Client, account: Account) -> None:
    client.force_login(account.user)
    assert client.get(page(AccountAPIKey, "changelist")).status_code == 302
    assert client.get(page(AccountAPIKey, "changelist")).headers["Location"].startswith("/admin/login/")


def key_form(account: Account, **changes: Any) -> dict[str, Any]:
    return {
        "name": "partner",
        "account": account.pk,
        "rate_limit": "125/15m",
        "analysis_rate_limit": "15/15m",
        "embed_rate_limit": "",
        "read_scores": "on",
        **changes,
    }


def test_a_new_key_is_shown_once_and_verifies(browser: Client, account: Account) -> None:
    answer = browser.post(page(AccountAPIKey, "add"), key_form(account), follow=True)
    assert answer.status_code == 200
    [message] = [str(message) for message in answer.context["messages"]]
    [shown] = re.findall(r"\b[0-9A-Za-z]{8}\.[0-9A-Za-z]{32}\b", message)
    assert shown in answer.content.decode()

    key = AccountAPIKey.objects.get()
    assert (key.name, key.account, key.read_scores, key.submit_passports) == ("partner", account, True, False)
    assert key.id == f"{key.prefix}.{key.hashed_key}"
    assert key.prefix == shown.partition(".")[0]
    assert key.hashed_key_sha256 == hash_key_sha256(shown)
    assert key.is_valid(shown)
    assert not key.is_valid(shown[:-1] + ("a" if shown[-1] != "a" else "b"))
    assert AccountAPIKey.objects.get_from_key(shown) == key
    assert AccountAPIKey.objects.is_valid(shown)

    secret = shown.partition(".")[2]
    for url in (page(AccountAPIKey, "changelist"), page(AccountAPIKey, "change", key.prefix), "/admin/"):
        assert secret not in browser.get(url).content.decode()


@pytest.mark.parametrize("button", ["_save", "_continue", "_addanother"])
def test_the_hash_of_a_key_is_on_no_page(button: str, browser: Client, account: Account) -> None:
    added = browser.post(page(AccountAPIKey, "add"), key_form(account, **{button: "Save"}))
    assert added.status_code == 302
    key = AccountAPIKey.objects.get()
    change = page(AccountAPIKey, "change", key.prefix)
    assert (
        added.headers["Location"]
        == {
            "_save": page(AccountAPIKey, "changelist"),
            "_continue": change,
            "_addanother": page(AccountAPIKey, "add"),
        }[button]
    )
    changed = browser.post(change, key_form(account, name="renamed", **{button: "Save"}))
    assert changed.status_code == 302
    urls = [
        added.headers["Location"],
        changed.headers["Location"],
        change,
        page(AccountAPIKey, "changelist"),
        page(AccountAPIKey, "history", key.prefix),
        page(Account, "change", account.pk),
        page(Account, "delete", account.pk),
        "/admin/",
    ]
    for url in urls:
        answer = browser.get(url)
        assert answer.status_code == 200, url
        text = url + answer.content.decode()
        for digest in (key.hashed_key, key.hashed_key_sha256):
            digits = digest.rpartition("$")[2]
            assert digits not in text, url
            assert digits[:12] not in text, url
    key.refresh_from_db()
    assert key.name == "renamed"
    assert f"sha256: {key.hashed_key_sha256[7:13]}…" in browser.get(change).content.decode()
    history = browser.get(page(AccountAPIKey, "history", key.prefix))
    assert len(history.context["action_list"]) == 2


def test_a_key_is_revoked_not_deleted(browser: Client, account: Account) -> None:
    key, secret = AccountAPIKey.objects.create_key(name="old", account=account)
    assert browser.post(page(AccountAPIKey, "delete", key.prefix), {"post": "yes"}).status_code == 403
    browser.post(page(AccountAPIKey, "change", key.prefix), key_form(account, name="old", revoked="on"))
    key.refresh_from_db()
    assert key.revoked
    assert not AccountAPIKey.objects.is_valid(secret)
    form = browser.get(page(AccountAPIKey, "change", key.prefix)).content.decode()
    assert 'name="revoked"' not in form
    assert 'name="rate_limit"' in form


def test_a_rate_that_is_none_is_refused(browser: Client, account: Account) -> None:
    answer = browser.post(page(AccountAPIKey, "add"), key_form(account, rate_limit="often"))
    assert answer.context["errors"] == [["Enter a count and a time, such as 125/15m (s, m, h or d)."]]
    assert not AccountAPIKey.objects.exists()


KEYS = {
    "sha256": ("sha256${sha256}", None),
    "sha512": ("sha512$${sha512}", "filled in"),
    "pbkdf2": ("{pbkdf2}", "filled in"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_in_every_form_verify_and_keep_their_hash(kind: str, account: Account) -> None:
    secret = "abcdefgh.0123456789"
    template, filled = KEYS[kind]
    hashed = template.format(
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        sha512=hashlib.sha512(secret.encode()).hexdigest(),
        pbkdf2=PBKDF2PasswordHasher().encode(secret, "salt", iterations=10),
    )
    key = AccountAPIKey.objects.create(
        id=f"abcdefgh.{hashed}", prefix="abcdefgh", hashed_key=hashed, name="k", account=account
    )
    assert not key.is_valid(secret + "x")
    assert key.is_valid(secret)
    key.refresh_from_db()
    assert key.hashed_key == hashed
    assert key.hashed_key_sha256 == (hash_key_sha256(secret) if filled else None)
    assert key.is_valid(secret)
    assert not key.is_valid(secret + "x")


def test_addresses_are_pasted_into_a_list_by_the_thousand(browser: Client) -> None:
    present = AddressList.objects.create(name="TheChosenOnes")
    AddressListMember.objects.create(list=present, address=ADDRESS)
    pasted = [f"0x{number:040x}" for number in range(1500)]
    text = "\n".join(pasted) + f", {ADDRESS.upper().replace('0X', '0x')} {pasted[0]}"
    change = page(AddressList, "change", present.pk)
    answer = browser.post(change, {"name": "TheChosenOnes", "add_addresses": text}, follow=True)
    assert "1500 members added." in answer.content.decode()
    assert set(present.members.values_list("address", flat=True)) == {ADDRESS, *pasted}
    assert "1501 members" in browser.get(change).content.decode()

    refused = browser.post(change, {"name": "TheChosenOnes", "add_addresses": f"{OTHER} 0x12"})
    assert refused.context["errors"] == [["0x12 is no address."]]
    assert present.members.count() == 1501


def test_addresses_are_stored_in_lower_case(browser: Client) -> None:
    """What is stored is compared in lower case, by code that knows nothing of these models."""
    browser.post(page(Ban, "add"), {"type": "account", "address": ADDRESS.replace("ab", "AB")})
    assert Ban.objects.get().address == ADDRESS
    chosen = AddressList.objects.create(name="a")
    member = AddressListMember.objects.create(list=chosen, address=OTHER.replace("cd", "CD"))
    assert member.address == OTHER
    AddressListMember.objects.bulk_create([AddressListMember(list=chosen, address=ADDRESS.replace("b", "B"))])
    assert set(chosen.members.values_list("address", flat=True)) == {ADDRESS, OTHER}
    assert browser.get(page(Ban, "changelist"), {"q": ADDRESS.replace("ab", "AB")}).context["cl"].result_count == 1


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ('{"Google": "1.5", "Ens": 2, "NFT": 0.1}', None),
        ("{}", None),
        ("[1]", "Enter an object: a weight for each provider."),
        ('{"Google": "much"}', "The weight of Google must be a number, or a number as a string."),
        ('{"Google": "NaN"}', "The weight of Google must be a number, or a number as a string."),
        ('{"Google": true}', "The weight of Google must be a number, or a number as a string."),
        ('{"Google": [1]}', "The weight of Google must be a number, or a number as a string."),
    ],
)
def test_weights_are_numbers(weights: str, problem: str | None, browser: Client) -> None:
    answer = browser.post(page(BinaryWeightedScorer, "add"), {"threshold": "20", "weights": weights})
    if problem is None:
        assert answer.status_code == 302
        scorer = BinaryWeightedScorer.objects.get()
        assert scorer.type == "WEIGHTED_BINARY"
        assert scorer.threshold == Decimal("20")
    else:
        assert answer.context["errors"] == [[problem]]
        assert not Scorer.objects.exists()


def test_weights_are_edited_one_a_line_and_kept_as_written(browser: Client, community: Community) -> None:
    change = page(BinaryWeightedScorer, "change", community.scorer_id)
    form = browser.get(change).context["adminform"].form
    text = form["weights"].value()
    assert text == '{\n  "Ens": 2,\n  "Google": "1.5"\n}'
    browser.post(change, {"threshold": "15.5", "weights": text})
    scorer = BinaryWeightedScorer.objects.get()
    assert (scorer.weights, scorer.threshold) == ({"Ens": 2, "Google": "1.5"}, Decimal("15.5"))
    assert WeightedScorer.objects.create().type == "WEIGHTED"


def test_a_community_is_marked_deleted_and_its_name_is_free_again(browser: Client, community: Community) -> None:
    form = {"name": "Friends", "account": community.account_id, "scorer": community.scorer_id, "rule": "LIFO"}
    taken = browser.post(page(Community, "add"), form)
    assert taken.status_code == 200
    assert taken.context["errors"]
    gone = {**form, "deleted_at_0": "2025-06-01", "deleted_at_1": "00:00:00"}
    assert browser.post(page(Community, "change", community.pk), gone).status_code == 302
    assert browser.post(page(Community, "add"), form).status_code == 302
    assert Community.objects.filter(name="Friends").count() == 2
    assert list(Community.objects.values_list("external_scorer_id", flat=True)) == [None, None]
    assert browser.post(page(Community, "delete", community.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("account", {"address": ADDRESS}, set()),
        ("hash", {"hash": "v0:h"}, set()),
        ("single_stamp", {"address": ADDRESS, "provider": "Google"}, set()),
        ("account", {}, {"address"}),
        ("account", {"address": ADDRESS, "provider": "Google"}, {"provider"}),
        ("hash", {"address": ADDRESS}, {"hash", "address"}),
        ("single_stamp", {"address": ADDRESS}, {"provider"}),
        ("account", {"address": "0x12"}, {"address"}),
    ],
)
def test_a_ban_names_what_its_type_needs(kind: str, fields: dict[str, str], wrong: set[str], browser: Client) -> None:
    answer = browser.post(page(Ban, "add"), {"type": kind, **fields})
    if wrong:
        assert set(answer.context["adminform"].form.errors) == wrong
        assert not Ban.objects.exists()
    else:
        assert answer.status_code == 302
        ban = Ban.objects.get()
        assert {"address": ban.address, "hash": ban.hash, "provider": ban.provider} == {
            "address": "",
            "hash": "",
            "provider": "",
            **fields,
        }


def test_a_ban_is_active_until_it_ends() -> None:
    now = timezone.now()
    assert Ban(end_time=None).is_active
    assert Ban(end_time=now + timedelta(minutes=1)).is_active
    assert not Ban(end_time=now - timedelta(minutes=1)).is_active


def test_a_revocation_bears_the_proof_of_its_stamp(browser: Client) -> None:
    stamp = CeramicCache.objects.create(address=ADDRESS, provider="Google", proof_value="the proof")
    assert browser.post(page(Revocation, "add"), {"ceramic_cache": stamp.pk}).status_code == 302
    assert Revocation.objects.get().proof_value == "the proof"


def test_customization_with_its_weights_is_edited_on_one_page(browser: Client, rows: dict[type[Model], Model]) -> None:
    customization = rows[Customization]
    form = browser.get(page(Customization, "change", customization.pk)).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None and value is not False}
    [allow_list], [credential] = customization.allow_lists.all(), customization.custom_credentials.all()
    [section] = customization.embed_sections.all()
    data |= {
        "allow_lists-TOTAL_FORMS": 1,
        "allow_lists-INITIAL_FORMS": 1,
        "allow_lists-0-id": allow_list.pk,
        "allow_lists-0-customization": customization.pk,
        "allow_lists-0-address_list": allow_list.address_list_id,
        "allow_lists-0-weight": "10.5",
        "custom_credentials-TOTAL_FORMS": 1,
        "custom_credentials-INITIAL_FORMS": 1,
        "custom_credentials-0-id": credential.pk,
        "custom_credentials-0-customization": customization.pk,
        "custom_credentials-0-platform": credential.platform_id,
        "custom_credentials-0-ruleset": credential.ruleset_id,
        "custom_credentials-0-display_name": "c",
        "custom_credentials-0-weight": "4.25",
        "embed_sections-TOTAL_FORMS": 1,
        "embed_sections-INITIAL_FORMS": 1,
        "embed_sections-0-id": section.pk,
        "embed_sections-0-customization": customization.pk,
        "embed_sections-0-section": section.section_id,
        "embed_sections-0-order": 3,
        "embed_platforms-TOTAL_FORMS": 0,
        "embed_platforms-INITIAL_FORMS": 0,
    }
    answer = browser.post(page(Customization, "change", customization.pk), data)
    assert answer.status_code == 302, answer.context["errors"]
    allow_list.refresh_from_db()
    credential.refresh_from_db()
    section.refresh_from_db()
    assert section.order == 3
    assert (allow_list.weight, credential.weight) == (Decimal("10.5"), Decimal("4.25"))


def test_points_are_edited_in_the_list(browser: Client) -> None:
    config = HumanPointsConfig.objects.create(action="ISG", points=500)
    data = {
        "form-TOTAL_FORMS": 1,
        "form-INITIAL_FORMS": 1,
        "form-0-id": config.pk,
        "form-0-points": 750,
        "_save": "Save",
    }
    assert browser.post(page(HumanPointsConfig, "changelist"), data).status_code == 302
    config.refresh_from_db()
    assert (config.points, config.active) == (750, False)


def test_every_app_bears_the_label_of_the_host() -> None:
    configs = {config.label: config for config in apps.get_app_configs() if config.name.startswith("api.")}
    assert set(configs) == LABELS
    for label, config in configs.items():
        assert config.name == f"api.{label}"
        assert config.default_auto_field == "django.db.models.BigAutoField"
