"""The Ray head that is started for users who have no cluster."""

import asyncio
import fcntl
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ray.conftest import ROOT, ended
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ray.head import HOME, Head, local_head, make_token

STARTED = (
    "import sys; from pathlib import Path; from workflow_ray.runtime.ray.head import Head;"
    " print(Head(Path(sys.argv[1])).start())"
)

CONNECTED = (
    "from workflow_ray.runtime.ray import cluster; cluster.connect(None); print('connected')"
)
BUSY = "while True: pass"


async def test_of_two_that_start_at_once_both_find_the_one_head_which_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    head = Head(tmp_path / "home")
    starts = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTED, head.home, cwd=ROOT, stdout=-1
        )
        for _ in range(2)
    ]
    try:
        found = {(await start.communicate())[0].decode().strip() for start in starts}
        assert found == {head.address()}
        assert head.is_running()
        pids = _session(int((head.home / "head.lock").read_text()))
        assert len(pids) > 3
    finally:
        assert head.stop()
    assert await ended(pids)
    assert not head.files.exists()
    assert not head.is_running()
    assert not head.stop()


@pytest.mark.timeout(300)
async def test_ten_commands_that_start_at_once_on_a_busy_machine_all_connect(
    tmp_path: Path,
) -> None:
    head = Head(tmp_path / "home")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_")
    } | {HOME: str(head.home)}
    busy = [await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY) for _ in range(2)]
    try:
        command = (sys.executable, "-c", CONNECTED)
        starts = [
            await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stdout=-1, stderr=-1
            )
            for _ in range(10)
        ]
        ends = await asyncio.gather(*(start.communicate() for start in starts))
        assert [out.decode().strip() for out, _ in ends] == ["connected"] * 10, [
            error.decode()[-2000:] for _, error in ends
        ]
    finally:
        for process in busy:
            process.kill()
            await process.wait()
        head.stop()


def test_an_address_is_read_once_it_is_complete_and_accepts_connections(tmp_path: Path) -> None:
    head = Head(tmp_path)
    file = head.files / "ray" / "ray_current_cluster"
    file.parent.mkdir(parents=True)
    try:
        with (
            (tmp_path / "head.lock").open("a") as lock,
            socket.create_server(("127.0.0.1", 0)) as server,
            ThreadPoolExecutor(1) as pool,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)  # a head that runs
            address = f"127.0.0.1:{server.getsockname()[1]}"
            found = pool.submit(head.address)
            for incomplete in ("", "127.0.0.1", "127.0.0.1:"):
                file.write_text(incomplete)
                with pytest.raises(TimeoutError):
                    found.result(timeout=0.2)
            file.write_text(address)
            assert found.result(timeout=10) == address
    finally:
        file.unlink()
        file.parent.rmdir()
        head.files.rmdir()


def test_a_token_that_was_left_empty_is_made_again_and_a_whole_one_stays(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    make_token(token)
    made = token.read_text()
    assert len(made) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    make_token(token)
    assert token.read_text() == made
    assert not (tmp_path / "token.draft").exists()


def test_only_its_user_can_read_its_token_and_reach_its_sockets(
    ray_head: None,
) -> None:
    head = local_head()
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (head.home, head.files, head.home / "token")
    }
    assert modes == {head.home: 0o700, head.files: 0o700, head.home / "token": 0o600}


@pytest.mark.parametrize(("token", "exit_code"), [(True, 0), (False, 1)])
def test_only_a_process_with_the_token_can_connect(
    ray_head: None, token: bool, exit_code: int
) -> None:
    head = local_head()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")
    }
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "health-check",
        "--address",
        head.address(),
    ]
    done = subprocess.run(
        command,
        env=environment | (head.environment if token else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stderr
    assert ("InvalidAuthToken" in done.stderr) is not token


def test_a_head_that_does_not_come_up_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Head(tmp_path / "home")
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with pytest.raises(
        RuntimeUnavailable, match=r"Ray's head: ended while it started: .*head.log says more"
    ):
        head.start()
    assert not head.stop()
    assert not head.files.exists()


def _session(session: int) -> list[int]:
    processes = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [process for process in processes if _session_of(process) == session]


def _session_of(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None
