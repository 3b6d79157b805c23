"""Clients without Ray find the socket of a store, and trust only the user's own folders."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workflow_ray.errors import StoreError
from workflow_ray.runtime.ipc import announce, find

URL = "sqlite:////data/shop.db"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder in the place of the system's; XDG_RUNTIME_DIR is not set."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@contextmanager
def listening(path: str | Path) -> Generator[None, None, None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen()
        yield


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_store_is_found_only_while_it_is_served() -> None:
    assert find(URL) is None
    with announce(URL) as path:
        assert find(URL) is None  # no server listens yet
        with listening(path):
            assert find(URL) == path
    assert find(URL) is None
    assert not Path(path).exists()


def test_stores_do_not_share_an_address() -> None:
    with announce(URL) as path, listening(path):
        assert find("sqlite:////data/other.db") is None


def test_the_newest_announcement_wins_and_survives_the_end_of_an_earlier_one() -> None:
    with announce(URL) as newer, listening(newer):
        pass
    with announce(URL) as first, listening(first):
        second = announce(URL)
        path = second.__enter__()
        with listening(path):
            assert find(URL) == path
            Path(first).unlink()
            assert find(URL) == path
        second.__exit__(None, None, None)


def test_the_socket_of_a_killed_process_is_not_found_and_removed_by_the_next_one() -> None:
    with announce(URL) as path, listening(path):
        folder = Path(path).parent
    left = folder / f"{dead_process()}-0a1b2c3d.sock"
    with listening(left):
        (folder / "current").write_text(left.name)
        assert find(URL) == str(left)
    assert left.exists()
    assert find(URL) is None
    with announce(URL):
        assert not left.exists()


def test_a_socket_that_is_about_to_listen_is_not_removed() -> None:
    with announce(URL) as first, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(first)
        with announce(URL):
            assert Path(first).exists()


@pytest.mark.parametrize(
    "name", ["../../elsewhere.sock", "/elsewhere.sock", "", "1-0a1b2c3d.sock/.."]
)
def test_a_name_of_anything_but_a_socket_in_the_same_folder_is_ignored(name: str) -> None:
    with announce(URL) as path, listening(path):
        (Path(path).parent / "current").write_text(name)
        assert find(URL) is None


def test_only_the_user_has_access_to_the_folders(root: Path) -> None:
    with announce(URL) as path:
        for folder in (Path(path).parent, Path(path).parent.parent):
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.is_relative_to(root)


def test_a_folder_that_others_have_access_to_is_refused() -> None:
    with announce(URL) as path:
        Path(path).parent.parent.chmod(0o755)
        with pytest.raises(StoreError, match="mode 0700"):
            find(URL)
        with pytest.raises(StoreError, match="mode 0700"), announce(URL):
            pass


def test_a_link_in_place_of_the_folder_is_refused(root: Path) -> None:
    elsewhere = root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (root / f"workflow_ray-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="mode 0700"), announce(URL):
        pass


def test_a_server_that_lacks_the_users_runtime_folder_is_found(
    monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    (root / "run").mkdir()
    with announce(URL) as path, listening(path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "run"))
        assert find(URL) == path
        with announce(URL) as beside, listening(beside):
            assert beside.startswith(str(root / "run"))
            assert find(URL) == beside


def test_a_path_that_is_too_long_for_a_socket_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    deep = root / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(StoreError, match="shorter folder"), announce(URL):
        pass
