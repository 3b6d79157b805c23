"""Objects on any file system that fsspec knows."""

import posixpath
import re
import secrets
import threading
from asyncio import to_thread
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from workflow_ray.errors import InvalidInput, StoreUnavailable, WorkflowError
from workflow_ray.records import MAX_DATA, RunId

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16
"""The most objects that are written or read at once."""
SHARDS = 256
"""Folders that the runs are spread over, by the last two digits of their ids."""
_RUN = re.compile("[0-9a-f-]{36}")


class FsspecObjects:
    """A ClaimCheck. Its calls run in threads, many at once.

    The objects of a run are in `PLACE/<last two digits>/<run id>/<sha256>`.
    """

    def __init__(self, url: str, options: dict[str, object]) -> None:
        self._url = url
        self._options = options
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    async def write(self, objects: Sequence[tuple[RunId, str, bytes]]) -> None:
        """See ClaimCheck."""
        await to_thread(self._each, self._write, objects)

    async def read(self, names: Sequence[tuple[RunId, str]]) -> list[bytes | None]:
        """See ClaimCheck."""
        return await to_thread(self._each, self._read, names)

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        """See ClaimCheck."""
        await to_thread(self._each, self._delete, run_ids)

    async def runs(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """See ClaimCheck. It lists the whole place at each call."""
        return await to_thread(self._runs, after, limit)

    # --- in threads -----------------------------------------------------------------------------

    def _each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Do the work for each item, many at once. Raises StoreUnavailable."""
        todo = list(items)
        self._file_system()
        try:
            if len(todo) <= 1:
                return [work(item) for item in todo]
            with ThreadPoolExecutor(min(AT_ONCE, len(todo))) as threads:
                return list(threads.map(work, todo))
        except WorkflowError:
            raise
        except Exception as error:  # a file system has errors of the library that it stands on
            raise self._unavailable(error) from error

    def _write(self, item: tuple[RunId, str, bytes]) -> None:
        run_id, name, content = item
        files, place = self._file_system()
        path = self._path(place, run_id, name)
        # First under another name, so that no half of an object is ever read. An object store
        # has no halves, and a rename there is a copy.
        is_local = "file" in files.protocol or "local" in files.protocol
        target = f"{path}.{secrets.token_hex(8)}.part" if is_local else path
        files.makedirs(posixpath.dirname(path), exist_ok=True)
        files.pipe_file(target, content)
        if is_local:
            files.mv(target, path)

    def _read(self, item: tuple[RunId, str]) -> bytes | None:
        files, place = self._file_system()
        try:
            content: bytes = files.cat_file(self._path(place, *item), start=0, end=MAX_DATA + 1024)
        except FileNotFoundError:
            return None
        return content

    def _delete(self, run_id: RunId) -> None:
        files, place = self._file_system()
        try:
            files.rm(self._folder(place, run_id), recursive=True)
        except FileNotFoundError:
            pass
        finally:
            files.invalidate_cache()

    def _runs(self, after: RunId | None, limit: int) -> list[RunId]:
        def of_shard(shard: int) -> list[str]:
            files, place = self._file_system()
            try:
                paths = files.ls(f"{place}/{shard:02x}", detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return [posixpath.basename(path.rstrip("/")) for path in paths]

        names = [name for some in self._each(of_shard, range(SHARDS)) for name in some]
        found = sorted(name for name in names if _RUN.fullmatch(name) and name > (after or ""))
        return [RunId(name) for name in found[:limit]]

    def _folder(self, place: str, run_id: RunId) -> str:
        if not _RUN.fullmatch(run_id):
            raise InvalidInput("a run id", f"{run_id!r} can't be the name of a folder")
        return f"{place}/{run_id[-2:]}/{run_id}"

    def _path(self, place: str, run_id: RunId, name: str) -> str:
        return f"{self._folder(place, run_id)}/{name}"

    def _file_system(self) -> tuple[Any, str]:
        """Return the file system and the path of the place in it."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> tuple[Any, str]:
        try:
            import fsspec.core  # type: ignore[import-untyped]  # it has no types
        except ImportError:
            raise InvalidInput(
                "ClaimChecks", "it needs a library: pip install 'workflow-ray[claim-checks]'"
            ) from None
        try:
            core: Any = fsspec.core
            files, place = core.url_to_fs(self._url, **self._options)
        except (ImportError, ValueError, TypeError) as error:
            raise InvalidInput("place", f"fsspec can't open it: {error}") from None
        except OSError as error:
            raise self._unavailable(error) from error
        return files, str(place).rstrip("/")

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        scheme = self._url.partition("://")[0]  # the rest may hold a password
        return StoreUnavailable(f"the claim-checks ({scheme})", str(error) or repr(error))
