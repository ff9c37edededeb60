"""What a campaign sends: the same for the same seed, some of each kind, and each record what it says it is."""

import json
from collections import Counter
from itertools import chain, islice
from random import Random

import pytest

from domain import BUSINESS
from ops.fire.load import request_of
from ops.fire.story import COMPANIES, MALFORMED, POISON, SHARES, Order, Story, record_of
from topics.catalogue import COMMANDS
from topics.cloudevents import Malformed, size_of
from topics.messages import read_command, salvage


def told(seed: int, count: int = 3000, **shares: float) -> list[Order]:
    story = Story(seed)
    story.shares = shares | SHARES
    return list(islice(chain(story.openings(), story), count))


@pytest.mark.thorough
def test_the_same_seed_tells_the_same_story_and_another_tells_another() -> None:
    assert told(7) == told(7)
    assert told(7) != told(8)


def test_there_is_some_of_each_kind_over_both_ways_and_much_of_one_company() -> None:
    orders = told(1, poison=0.05)
    kinds = Counter(order.kind for order in orders)
    assert kinds.keys() == {"good", "poison", *SHARES}
    assert {order.via for order in orders} == {"kafka", "http"}
    companies = Counter(order.command.company_id for order in orders)
    assert companies.keys() == set(COMPANIES)
    assert companies.most_common(1)[0][0] == COMPANIES[0]


def test_what_is_sent_again_is_the_same_and_what_is_another_payload_has_the_same_id() -> None:
    orders = told(3)
    first = {order.command.id: order.command for order in orders if order.kind == "good"}
    assert all(first[order.command.id] == order.command for order in orders if order.kind == "again")
    others = [order.command for order in orders if order.kind == "other-payload"]
    assert all(first[other.id].fingerprint != other.fingerprint for other in others)


@pytest.mark.thorough
def test_good_and_refused_commands_can_be_read_as_they_were_meant() -> None:
    for order in told(5):
        if not order.spoiled:
            assert read_command(record_of(order, "erp", 0)).fingerprint == order.command.fingerprint


@pytest.mark.parametrize("spoiled", sorted(MALFORMED))
def test_a_malformed_command_still_says_whose_it_is(spoiled: str) -> None:
    order = told(1)[-1]._replace(spoiled=spoiled)
    record = record_of(order, "erp", 0)
    try:
        assert read_command(record).id == order.command.id
    except Malformed:
        found = salvage(record)
        assert found is not None
        assert found.id == order.command.id


@pytest.mark.thorough
@pytest.mark.parametrize("spoiled", sorted(POISON))
def test_poison_is_a_record_of_its_own_kind(spoiled: str) -> None:
    order = told(1)[-1]
    assert record_of(order._replace(spoiled=spoiled), "erp", 0) != record_of(order, "erp", 0)


def test_a_large_record_is_just_as_large_as_the_topic_takes() -> None:
    assert size_of(record_of(Story(1).large(Random(1)), "erp", 0)) == COMMANDS.limit


def test_a_request_means_the_command() -> None:
    for order in told(2, 200):
        path, body, headers = request_of(order)
        rule, meant = BUSINESS.rules[order.command.type], json.loads(order.command.data)
        assert headers["Idempotency-Key"] == order.command.id
        assert path.startswith(f"/api/v1/{rule.decider.path}")
        key = {} if rule.creates else {rule.decider.key: order.command.aggregate_id}
        assert json.loads(body) | key == meant
