"""The servers of the tests start, crash, freeze and end as they should."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers import KINDS, NotInstalled, NotStarted, Redis, Server, processes, services
from tests.servers.installation import ensure
from tests.servers.ports import HOST

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from tests.servers import Redis
with Redis(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)  # it is killed before that
"""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_crashed_server_starts_again_at_its_port_on_its_data(
    kind: type[Server], server_folder: Path
) -> None:
    with kind(server_folder) as server:
        url, data = server.url, server.data.stat().st_ino
        server.kill()
        assert not server.running
        server.start()
        assert (server.running, server.url, server.data.stat().st_ino) == (True, url, data)
    assert not server.running


def test_a_frozen_server_keeps_its_connections_and_answers_once_thawed(server_folder: Path) -> None:
    with (
        Redis(server_folder) as server,
        socket.create_connection((HOST, server.port), timeout=0.1) as connection,
    ):
        server.freeze()
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(5)
        server.thaw()
        connection.settimeout(5)
        assert connection.recv(5) == b"+PONG"


def test_the_servers_of_a_process_end_with_it_even_by_sigkill(server_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(server_folder)], cwd=ROOT, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        server = Redis(server_folder)
        started = processes.family(holder.pid)[1:]
        assert server.running
        holder.send_signal(signal.SIGKILL)
    assert processes.gone(started, within=10)
    assert not server_folder.exists()


def test_a_server_that_does_not_start_shows_its_log(server_folder: Path) -> None:
    with pytest.raises(
        NotStarted, match=r"redis didn't start: it exited with 1.*\n(.*\n)*.*'port \"nonsense\"'"
    ):
        Redis(server_folder, {"port": "nonsense"}).start()


def test_tests_use_the_servers_that_make_services_keeps_running(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(server_folder))
    assert services.running(Redis) is None
    lasting = Redis(services.folder(), lasting=True)
    with lasting:
        found = services.running(Redis)
        assert found is not None
        assert found.url == lasting.url
    assert services.running(Redis) is None


def test_a_missing_package_that_can_not_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        NotInstalled,
        match=(
            r"^Redis isn't installed\. Install it \(Debian and Ubuntu: apt-get install"
            r" redis-server\)"
        ),
    ):
        ensure("Redis", "redis-server", lambda: False)
