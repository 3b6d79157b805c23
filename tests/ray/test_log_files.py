"""The log files of actors: what is written can be read, by whoever looks and when (U13)."""

import logging
import os
from collections.abc import Callable, Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from workflow_ray.runtime.ray.log_files import actor_of, log_file, write_log
from workflow_ray.runtime.ray.log_reader import LogReader
from workflow_ray.runtime.ray.node_logs import NodeLogs, NodeSilent, logs_here

ROLE = "orders-1-consumer-1-of-1"
Begin = Callable[[str], logging.Logger]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """Have this process log as the actor of a name, in place of what it logged as before."""
    root, level = logging.getLogger(), logging.getLogger().level
    before = list(root.handlers)

    def end() -> None:
        for handler in root.handlers[:]:
            if handler not in before:
                root.removeHandler(handler)
                handler.close()

    def begin(name: str) -> logging.Logger:
        end()
        assert write_log(str(folder), name) == str(log_file(folder, name))
        return logging.getLogger("shop")

    yield begin
    end()
    root.setLevel(level)


def texts(reader: LogReader, names: tuple[str, ...] = (ROLE,), limit: int = 100) -> list[str]:
    """The last entries, without their times."""
    return [entry.text[len(entry.time) + 1 :] for entry in reader.last(names, limit)]


def test_a_process_that_follows_another_writes_into_the_same_file(
    folder: Path, begin: Begin
) -> None:
    begin(ROLE).error("it dies")
    begin(ROLE).info("it lives again")
    assert texts(LogReader(str(folder))) == ["ERROR it dies", "INFO it lives again"]


def test_a_traceback_belongs_to_its_entry_and_data_brings_no_line_of_its_own(
    folder: Path, begin: Begin
) -> None:
    log = begin(ROLE)
    try:
        raise ValueError("no\ncard")
    except ValueError:
        log.exception("run %s failed", "a\n2026-01-01 00:00:00,000 ERROR forged")
    (text,) = texts(LogReader(str(folder)))
    assert text.startswith("ERROR run a\\n2026-01-01 00:00:00,000 ERROR forged failed\nTraceback")
    assert text.endswith("ValueError: no\ncard")


@pytest.mark.parametrize("name", ["a/b-1-consumer-1-of-1", "..", "é 1", "a%2Fb"])
def test_any_name_has_a_file_in_the_folder(folder: Path, begin: Begin, name: str) -> None:
    begin(name).warning("x")
    (file,) = folder.iterdir()
    assert actor_of(file) == name
    assert LogReader(str(folder)).actors() == [name]


def test_what_is_added_is_read_once_also_where_the_file_is_renamed_meanwhile(
    folder: Path, begin: Begin
) -> None:
    log = begin(ROLE)
    log.info("one")
    reader = LogReader(str(folder))
    assert len(reader.last([ROLE], 10)) == 1
    log.info("two")
    (handler,) = [
        each for each in logging.getLogger().handlers if isinstance(each, RotatingFileHandler)
    ]
    handler.doRollover()
    log.info("three")
    added = [entry.text.split()[-1] for entry in reader.added([ROLE])]
    assert added == ["two", "three"]
    assert reader.added([ROLE]) == []
    begin("store").info("four")
    assert [entry.actor for entry in reader.added([ROLE, "store"])] == ["store"]


def test_a_line_that_is_being_written_is_read_once_it_is_whole(folder: Path) -> None:
    folder.mkdir()
    file, reader = log_file(folder, ROLE), LogReader(str(folder))
    file.write_text("2026-11-26 09:00:00,000 INFO one\n2026-11-26 09:00:00,001 IN")
    assert texts(reader) == ["INFO one"]
    with file.open("a") as opened:
        opened.write("FO two\n")
    assert [entry.text[24:] for entry in reader.added([ROLE])] == ["INFO two"]


def test_only_the_last_entries_of_the_actors_asked_for_are_read(folder: Path, begin: Begin) -> None:
    begin("store").info("x")
    log = begin(ROLE)
    for number in range(5):
        log.info("%d", number)
    assert texts(LogReader(str(folder)), limit=2) == ["INFO 3", "INFO 4"]
    assert texts(LogReader(str(folder)), ("store",)) == ["INFO x"]
    assert texts(LogReader(str(folder)), limit=0) == []


def test_the_file_stays_small_however_much_is_logged(
    folder: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.log_files.SIZE", 1000)
    log = begin(ROLE)
    for number in range(1000):
        log.info("number %d", number)
    files = list(folder.iterdir())
    assert len(files) == 3
    assert sum(file.stat().st_size for file in files) <= 3000


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_where_the_folder_cannot_be_written_lines_go_to_standard_error(
    tmp_path: Path, begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    begin(ROLE).error("no disk")
    assert "ERROR no disk" in capsys.readouterr().err


def test_where_the_folder_is_a_file_lines_go_to_standard_error(
    folder: Path, begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_text("")
    begin(ROLE).error("no folder")
    assert "ERROR no folder" in capsys.readouterr().err


# --- several nodes ------------------------------------------------------------------------------


class Silent:
    """The reader of a node that is gone."""

    async def ask(self, method: str, *arguments: object) -> object:
        raise NodeSilent("n2")


async def test_the_lines_of_all_nodes_are_shown_by_time_and_a_silent_node_is_named(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / "n1", tmp_path / "n3"]
    for at, folder in enumerate(folders):
        folder.mkdir()
        lines = [f"2026-11-26 09:00:0{second},000 INFO {second}\n" for second in (at, at + 5)]
        log_file(folder, f"role-{at}").write_text("".join(lines))
    readers = [reader for folder in folders for reader in logs_here(str(folder)).readers]
    logs = NodeLogs([*readers, Silent()])
    await logs.leave_out_shared()
    names = await logs.actors()
    assert names == ["role-0", "role-1"]
    assert [entry.text[-1] for entry in await logs.last(names, 3)] == ["1", "5", "6"]
    assert (logs.silent, len(logs.readers)) == ({"n2"}, 2)


async def test_a_folder_that_nodes_share_is_read_once(folder: Path, begin: Begin) -> None:
    begin(ROLE).info("x")
    readers = [logs_here(str(folder)).readers[0] for _ in range(3)]
    logs = NodeLogs(readers)
    await logs.leave_out_shared()
    assert len(await logs.last([ROLE], 10)) == 1
