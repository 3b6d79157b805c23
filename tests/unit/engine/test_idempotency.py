"""The digest that is stored with an idempotency key."""

from itertools import product

from workflow_ray.engine.idempotency import digest_of, has_same_data
from workflow_ray.records import DIGEST_SIZE


def test_a_digest_is_the_same_in_every_process_and_version() -> None:
    """If the digest changes, repeats of earlier triggers cost a read."""
    assert digest_of("order-1", b'{"weight":1}', None).hex() == ("2599000e8c1b023d536be55e1aedf2b3")
    assert digest_of("Zoë 🦄", b"{}", 2).hex() == "2d0d88b80acbde72856817ddc159784f"


def test_digests_differ_where_anything_of_the_trigger_differs() -> None:
    ids, data = ("a", "b", "a "), (b"{}", b'{"a":1}', b'{"a":2}')
    uses = list(product(ids, data, (None, 1, 2, 12)))
    digests = {digest_of(*use) for use in uses}
    assert len(digests) == len(uses)
    assert {len(digest) for digest in digests} == {DIGEST_SIZE}


def test_a_digest_tells_another_foreign_id_from_other_data() -> None:
    digest = digest_of("a", b"{}", None)
    assert has_same_data(digest, digest_of("b", b"{}", None))
    assert not has_same_data(digest, digest_of("a", b"[]", None))
    assert not has_same_data(digest, digest_of("a", b"{}", 1))
