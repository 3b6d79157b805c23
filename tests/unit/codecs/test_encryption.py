"""Encryption: what it hides, what it refuses, and how its keys change."""

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.codecs.keys_in_memory import KeysInMemory
from tests.unit.codecs.payloads import encoded, payload, read
from workflow_ray import Encryption, Payload, Unreadable, keys_from_env, keys_from_file, new_key
from workflow_ray.codecs import run_ciphers
from workflow_ray.errors import EncryptionKeyMissing, InvalidInput
from workflow_ray.records import RunId, new_run_id

OLD, NEW = new_key("old"), new_key("new")
SECRET = b'{"card": "marked-secret"}'


def both() -> list[Encryption]:
    return [Encryption([OLD]), Encryption([OLD], run_keys=KeysInMemory())]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_encrypted_is_decrypted(contents: list[bytes]) -> None:
    async def round_trip(codec: Encryption) -> None:
        payloads = [payload(data, new_run_id()) for data in contents]
        stored = await encoded(codec, *payloads)
        assert await codec.decode(stored) == contents
        for each, data in zip(stored, contents, strict=True):
            assert len(data) < 4 or data not in each.data

    for codec in both():
        asyncio.run(round_trip(codec))


@pytest.mark.parametrize("codec", both(), ids=["keys", "keys of runs"])
async def test_two_encryptions_of_one_payload_differ(codec: Encryption) -> None:
    one, other = await encoded(codec, payload(SECRET), payload(SECRET))
    assert one.data != other.data


@given(st.data())
def test_what_was_changed_is_refused(data: st.DataObject) -> None:
    async def change(codec: Encryption) -> None:
        (stored,) = await encoded(codec, payload(SECRET))
        at = data.draw(st.integers(0, len(stored.data) - 1))
        changed = bytearray(stored.data)
        changed[at] ^= data.draw(st.integers(1, 255))
        assert isinstance(await read(codec, stored._replace(data=bytes(changed))), Unreadable)

    for codec in both():
        asyncio.run(change(codec))


@given(st.data())
def test_what_was_cut_is_refused(data: st.DataObject) -> None:
    async def cut(codec: Encryption) -> None:
        (stored,) = await encoded(codec, payload(SECRET))
        length = data.draw(st.integers(0, len(stored.data) - 1))
        cut_off = stored._replace(data=stored.data[:length])
        assert isinstance(await read(codec, cut_off), Unreadable)

    for codec in both():
        asyncio.run(cut(codec))


@pytest.mark.parametrize("codec", both(), ids=["keys", "keys of runs"])
async def test_what_belongs_elsewhere_is_refused(codec: Encryption) -> None:
    other = new_run_id()
    stored, _ = await encoded(codec, payload(SECRET), payload(SECRET, other))
    for moved in (
        stored._replace(run_id=other),
        stored._replace(workflow="invoices"),
        stored._replace(kind="message"),
    ):
        assert isinstance(await read(codec, moved), Unreadable)
    assert await read(codec, stored) == SECRET


async def test_the_first_key_encrypts_and_all_decrypt() -> None:
    (stored,) = await encoded(Encryption([OLD]), payload(SECRET))
    after = Encryption([NEW, OLD])
    assert await read(after, stored) == SECRET
    (newer,) = await encoded(after, payload(SECRET))
    assert isinstance(await read(Encryption([OLD]), newer), Unreadable)
    assert await read(Encryption([NEW]), newer) == SECRET


async def test_a_missing_key_is_named_and_nothing_else_is_shown() -> None:
    (stored,) = await encoded(Encryption([OLD]), payload(SECRET))
    found = await read(Encryption([NEW]), stored)
    assert found == Unreadable("key 'old' of the encryption is missing in this process")


async def test_another_key_of_the_same_name_is_refused() -> None:
    (stored,) = await encoded(Encryption([OLD]), payload(SECRET))
    assert isinstance(await read(Encryption([new_key("old")]), stored), Unreadable)


async def test_without_a_key_nothing_is_stored() -> None:
    with pytest.raises(EncryptionKeyMissing):
        await Encryption(list).encode([payload(SECRET)])


async def test_large_batches_are_encrypted_in_threads() -> None:
    codec = Encryption([OLD])
    contents = [bytes([at]) * 200_000 for at in range(3)]
    stored = await encoded(codec, *(payload(data, new_run_id()) for data in contents))
    assert await codec.decode(stored) == contents


# --- keys of runs ---------------------------------------------------------------------------------


async def test_a_run_whose_key_is_deleted_can_never_be_read_again() -> None:
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    other = new_run_id()
    gone, kept = await encoded(codec, payload(SECRET), payload(SECRET, other))
    await codec.forget([gone.run_id])
    for process in (codec, Encryption([OLD], run_keys=keys)):
        assert isinstance(await read(process, gone), Unreadable)
        assert await read(process, kept) == SECRET
    (later,) = await encoded(codec, gone._replace(data=SECRET))  # it gets another key
    assert await read(codec, later) == SECRET
    assert isinstance(await read(codec, gone), Unreadable)


async def test_what_outlives_its_run_is_encrypted_by_no_key_of_a_run() -> None:
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    (stored,) = await encoded(codec, payload(SECRET)._replace(outlives=True))
    assert not keys.keys
    assert await read(codec, stored._replace(outlives=False)) == SECRET


async def test_what_belongs_to_no_run_is_encrypted_by_no_key_of_a_run() -> None:
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    (stored,) = await encoded(codec, Payload("orders", RunId(""), "event", SECRET))
    assert not keys.keys
    assert await read(codec, stored) == SECRET


async def test_the_keys_of_a_batch_are_made_by_one_call_and_kept_in_memory() -> None:
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    stored = await encoded(codec, *(payload(SECRET, new_run_id()) for _ in range(100)))
    await codec.decode(stored)
    await encoded(codec, *stored[:10])
    assert keys.calls == ["add"]
    other = Encryption([OLD], run_keys=keys)
    await other.decode(stored)
    assert keys.calls == ["add", "get"]


async def test_two_processes_use_the_same_key_for_a_run() -> None:
    keys = KeysInMemory()
    one, other = (Encryption([OLD], run_keys=keys) for _ in range(2))
    (mine,) = await encoded(one, payload(SECRET))
    (theirs,) = await encoded(other, payload(SECRET))
    assert await read(one, theirs) == await read(other, mine) == SECRET


async def test_no_more_keys_are_kept_in_memory_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_ciphers, "CACHED", 3)
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    stored = await encoded(codec, *(payload(SECRET, new_run_id()) for _ in range(5)))
    assert await codec.decode(stored[-3:]) == [SECRET] * 3
    assert keys.calls == ["add"]
    assert await codec.decode(stored) == [SECRET] * 5
    assert keys.calls == ["add", "get"]


async def test_a_deleted_key_is_used_by_no_process_for_longer_than_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_ciphers, "KEPT", -1.0)
    keys = KeysInMemory()
    one, other = (Encryption([OLD], run_keys=keys) for _ in range(2))
    (stored,) = await encoded(one, payload(SECRET))
    assert await read(other, stored) == SECRET
    await one.forget([stored.run_id])
    assert isinstance(await read(other, stored), Unreadable)


async def test_keys_of_runs_are_encrypted_again_by_the_newest_key() -> None:
    keys = KeysInMemory()
    stored = await encoded(
        Encryption([OLD], run_keys=keys), *(payload(SECRET, new_run_id()) for _ in range(7))
    )
    after = Encryption([NEW, OLD], run_keys=keys)
    assert await after.rewrap() == 7
    assert await after.rewrap() == 0
    assert await Encryption([NEW], run_keys=keys).decode(stored) == [SECRET] * 7


async def test_data_from_before_keys_of_runs_stays_readable() -> None:
    (stored,) = await encoded(Encryption([OLD]), payload(SECRET))
    assert await read(Encryption([OLD], run_keys=KeysInMemory()), stored) == SECRET


async def test_keys_of_runs_that_are_set_nowhere_here_are_named() -> None:
    (stored,) = await encoded(Encryption([OLD], run_keys=KeysInMemory()), payload(SECRET))
    found = await read(Encryption([OLD]), stored)
    assert isinstance(found, Unreadable)
    assert "run_keys" in found.why


async def test_a_key_of_a_run_that_was_moved_to_another_run_is_refused() -> None:
    keys = KeysInMemory()
    codec = Encryption([OLD], run_keys=keys)
    mine, theirs = await encoded(codec, payload(SECRET), payload(SECRET, new_run_id()))
    keys.keys[mine.run_id] = keys.keys[theirs.run_id]
    assert isinstance(await read(Encryption([OLD], run_keys=keys), mine), Unreadable)


# --- where keys are read from ---------------------------------------------------------------------


async def test_keys_are_read_from_the_environment_at_their_first_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ORDERS_KEYS", raising=False)
    codec = Encryption(keys_from_env("ORDERS_KEYS"))
    with pytest.raises(EncryptionKeyMissing):
        await codec.encode([payload(SECRET)])
    monkeypatch.setenv("ORDERS_KEYS", f"{NEW}, {OLD}")
    (stored,) = await encoded(codec, payload(SECRET))
    assert await read(Encryption([NEW]), stored) == SECRET


async def test_a_key_that_is_added_to_the_file_is_found_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.codecs.keyring.AGAIN", 0.0)
    path = tmp_path / "keys"
    path.write_text(f"# of the test\n{OLD}\n")
    codec = Encryption(keys_from_file(path))
    await encoded(codec, payload(SECRET))
    (stored,) = await encoded(Encryption([NEW]), payload(SECRET))
    assert isinstance(await read(codec, stored), Unreadable)
    path.write_text(f"{OLD}\n{NEW}\n")
    assert await read(codec, stored) == SECRET


async def test_a_file_of_keys_that_is_missing_is_named(tmp_path: Path) -> None:
    codec = Encryption(keys_from_file(tmp_path / "keys"))
    with pytest.raises(InvalidInput, match="keys can't be read: No such file"):
        await codec.encode([payload(SECRET)])


@pytest.mark.parametrize(
    "keys",
    [
        "old:AAAA",
        [""],
        ["old"],
        ["old:AAAA"],
        ["old:" + "!" * 44],
        [":" + OLD.partition(":")[2]],
        [OLD, OLD],
        [b"old:AAAA"],
        7,
    ],
)
def test_keys_that_cannot_be_used_are_refused_and_never_shown(keys: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        Encryption(keys)  # type: ignore[arg-type]  # the wrong ones are the test
    assert "AAAA" not in str(refused.value)
    assert OLD.partition(":")[2] not in str(refused.value)


def test_a_new_key_has_256_random_bits() -> None:
    one, other = (base64.b64decode(new_key("a").partition(":")[2]) for _ in range(2))
    assert len(one) == len(other) == 32
    assert one != other
    with pytest.raises(InvalidInput):
        new_key("a:b")


# --- digests --------------------------------------------------------------------------------------


def test_digests_are_keyed_by_each_key() -> None:
    old, new, both = Encryption([OLD]), Encryption([NEW]), Encryption([NEW, OLD])
    assert both.digests(b"12345678") == [*new.digests(b"12345678"), *old.digests(b"12345678")]
    assert old.digests(b"12345678") != new.digests(b"12345678")
    assert all(len(each) == 8 for each in both.digests(b"12345678"))


def test_neither_repr_nor_errors_show_a_key() -> None:
    codec = Encryption([OLD], run_keys="postgresql://user:password@host/keys")
    assert "password" not in repr(codec)
    assert OLD.partition(":")[2] not in repr(codec)
