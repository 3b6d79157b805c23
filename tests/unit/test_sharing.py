"""Who plays which role, where processes share them."""

import random
from collections import Counter
from collections.abc import Mapping
from itertools import product

from workflow_ray.ports import assigned
from workflow_ray.records import RoleName

Able = dict[RoleName, set[str]]


def roles(count: int) -> list[RoleName]:
    return [RoleName(f"role-{number:02}") for number in range(count)]


def loads(target: Mapping[RoleName, str]) -> list[int]:
    return sorted(Counter(target.values()).values(), reverse=True)


def anybody(count: int, members: str) -> Able:
    """That many roles, each of which every member can play: a letter each."""
    return {role: set(members) for role in roles(count)}


def some(rng: random.Random, members: str, most: int) -> Able:
    """Roles that some of the members can play, or nobody."""
    return {role: {member for member in members if rng.random() < 0.5} for role in roles(rng.randint(1, most))}


def some_holders(rng: random.Random, able: Able) -> dict[RoleName, str]:
    """Some of the roles are held, also by such as are gone, or can't play them any more."""
    return {role: rng.choice("abcdefgone") for role in able if rng.random() < 0.7}


def evenest(able: Able) -> list[int]:
    """The loads of the most even way there is, by trying them all."""
    playable = {role: sorted(members) for role, members in able.items() if members}
    ways = (dict(zip(playable, way, strict=True)) for way in product(*playable.values()))
    return min((loads(way) for way in ways), key=lambda found: sum(load * load for load in found))


def test_every_role_that_anybody_can_play_is_given_to_one_who_can(rng: random.Random) -> None:
    for _ in range(300):
        able = some(rng, "abcdef", most=20)
        target = assigned(able, some_holders(rng, able))
        assert target.keys() == {role for role, members in able.items() if members}
        assert all(member in able[role] for role, member in target.items())


def test_roles_are_shared_as_evenly_as_can_be(rng: random.Random) -> None:
    for _ in range(100):
        able = some(rng, "abc", most=7)
        assert loads(assigned(able, some_holders(rng, able))) == evenest(able)


def test_where_everybody_can_play_every_role_nobody_has_two_more_than_another(rng: random.Random) -> None:
    for _ in range(100):
        able = anybody(rng.randint(6, 40), "abcdef")
        found = loads(assigned(able, some_holders(rng, able)))
        assert (len(found), max(found) - min(found) < 2) == (6, True)


def test_what_is_even_stays_as_it_is(rng: random.Random) -> None:
    for _ in range(300):
        able = some(rng, "abcdef", most=20)
        target = assigned(able, some_holders(rng, able))
        assert assigned(able, target) == target


def test_members_agree_in_whatever_order_they_hear_of_roles_and_of_each_other(rng: random.Random) -> None:
    for _ in range(100):
        able = some(rng, "abcdef", most=20)
        holders = some_holders(rng, able)
        shuffled = {role: rng.sample(sorted(able[role]), len(able[role])) for role in rng.sample(sorted(able), len(able))}
        assert assigned(shuffled, dict(reversed(holders.items()))) == assigned(able, holders)


def test_a_member_that_joins_gets_its_share_and_the_others_keep_theirs() -> None:
    before = assigned(anybody(12, "ab"), {})
    after = assigned(anybody(12, "abc"), before)
    assert loads(after) == [4, 4, 4]
    assert {after[role] for role in before if after[role] != before[role]} == {"c"}


def test_the_roles_of_a_member_that_is_gone_go_to_the_others_which_keep_theirs() -> None:
    before = assigned(anybody(12, "abc"), {})
    after = assigned(anybody(12, "ab"), before)
    assert loads(after) == [6, 6]
    assert all(after[role] == member for role, member in before.items() if member != "c")


def test_a_role_is_passed_on_through_others_where_that_makes_it_even() -> None:
    able = {role: set(members) for role, members in zip(roles(6), ("ab", "ab", "ab", "bc", "bc", "c"), strict=True)}
    holders = dict(zip(roles(6), "aaabbc", strict=True))
    assert loads(assigned(able, holders)) == [2, 2, 2]


def test_with_no_members_no_role_is_played() -> None:
    assert assigned(anybody(3, ""), dict.fromkeys(roles(3), "gone")) == {}
