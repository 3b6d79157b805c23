"""The user's modules that a definition consists of, found without importing anything."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from importlib.util import resolve_name, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Protocol, runtime_checkable

from workflow_ray.definition.imports import Import, in_bytecode, in_source

OURS = __name__.partition(".")[0]
HEADER = 16
"""The bytes before the code in a .pyc file. They hold the time of the source file."""
INSTALLED = ("site-packages", "dist-packages")


def own_modules(name: str, file: Path, folder: Path) -> dict[str, str]:
    """Compute digests of a module's file, and of the files that it imports from its own folder.

    The imports are read from the files, not from `sys.modules`, so the result depends on the files
    only, not on what this process has imported. Imports inside of functions count, and so do the
    packages around a module. A computed name (`import_module(f"...")`) is not found.

    Args:
        name: The module's name, as others import it.
        file: Its file.
        folder: The folder that its outermost package, or the module itself, is imported from.
            Where packages are installed in it, only the outermost package of `name` counts.

    Returns:
        The digests by module name, without workflow_ray and without packages that have no file.
    """
    importlib.invalidate_caches()  # importlib's caches may be older than the files
    return _followed(name, file, folder).found


def own_files(name: str, folders: Sequence[str]) -> tuple[dict[str, str], set[Path]]:
    """Find what `own_modules` finds, for a module that need not be importable.

    Args:
        name: The module's name.
        folders: Where it is searched for, in this order.

    Returns:
        The digests by module name, and the folders that the files are in. None at all if the module
        has no file there.
    """
    importlib.invalidate_caches()  # as in `own_modules`
    for folder in map(Path, folders):
        specs = list(_on_the_way(name, folder))
        if specs and specs[-1].name == name and specs[-1].origin is not None:
            search = _followed(name, Path(specs[-1].origin), folder)
            return search.found, {file.parent for file in search.files}
    return {}, set()


def _followed(name: str, file: Path, folder: Path) -> "_Search":
    search = _Search(name, file, folder)
    search.follow()
    return search


class _Search:
    """Follows the imports from module to module, and reads each module once."""

    def __init__(self, name: str, file: Path, folder: Path) -> None:
        self._name = name
        self._file = file
        self._folder = folder
        self._only = name.partition(".")[0] if _has_installed(folder) else None
        self.found: dict[str, str] = {}
        self.files = set[Path]()

    def follow(self) -> None:
        specs = {spec.name: spec for spec in _on_the_way(self._name, self._folder)}
        specs.setdefault(self._name, _at(self._name, self._file))
        pending = [name for spec in specs.values() for name in self._imports(spec)]
        followed: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in followed and self._is_own(name):
                followed.add(name)
                pending += [
                    other
                    for spec in _on_the_way(name, self._folder)
                    for other in self._imports(spec)
                ]

    def _is_own(self, name: str) -> bool:
        outermost = name.partition(".")[0]
        return outermost != OURS and self._only in (None, outermost)

    def _imports(self, spec: ModuleSpec) -> Iterator[str]:
        """The names that a module imports: of modules, or of attributes in them.

        There are none for a module that was read before.
        """
        if spec.name in self.found or not isinstance(spec.loader, _Reader) or spec.origin is None:
            return
        try:
            content = spec.loader.get_data(spec.origin)
        except OSError:  # the file was deleted, or can't be read: importing it fails too
            return
        self.files.add(Path(spec.origin))
        is_bytecode = spec.origin.endswith(tuple(BYTECODE_SUFFIXES))
        self.found[spec.name] = sha256(content[HEADER:] if is_bytecode else content).hexdigest()
        if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
            return
        package = (
            spec.name
            if spec.submodule_search_locations is not None
            else spec.name.rpartition(".")[0]
        )
        for imported in _in_bytecode(spec.name, spec.loader) if is_bytecode else in_source(content):
            yield from self._names(imported, package)

    def _names(self, imported: Import, package: str) -> Iterator[str]:
        try:
            module = resolve_name(imported.module, package)
        except ImportError:  # it is above the outermost package: importing it fails too
            return
        yield module
        for name in imported.names:
            yield from self._submodules(module) if name == "*" else [f"{module}.{name}"]

    def _submodules(self, package: str) -> Iterator[str]:
        for spec in _on_the_way(package, self._folder):
            if spec.name == package:
                found = pkgutil.iter_modules(spec.submodule_search_locations or ())
                yield from (f"{package}.{module.name}" for module in found)


@runtime_checkable
class _Reader(Protocol):
    """Reads modules from a folder or from a zip file."""

    def get_data(self, path: str, /) -> bytes: ...

    def get_code(self, fullname: str, /) -> CodeType | None: ...


def _has_installed(folder: Path) -> bool:
    """Whether packages are installed in the folder, which are not the user's own."""
    return folder.name in INSTALLED or any(folder.glob("*.dist-info"))


def _on_the_way(name: str, folder: Path) -> Iterator[ModuleSpec]:
    """The packages around a module, the outermost first, then the module, if they exist."""
    entries: Iterable[str] = (str(folder),)
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = _found(".".join(parts[:count]), entries)
        if spec is None:
            return
        yield spec
        entries = spec.submodule_search_locations or ()


def _found(name: str, entries: Iterable[str]) -> ModuleSpec | None:
    """Find a module without importing the packages around it, as find_spec would."""
    for entry in entries:
        finder = pkgutil.get_importer(entry)
        if finder is not None and (spec := finder.find_spec(name)) is not None:
            return spec
    return None


def _at(name: str, file: Path) -> ModuleSpec:
    """Read a module that isn't found by its name, such as a script without a suffix."""
    spec = spec_from_loader(name, SourceFileLoader(name, str(file)))
    assert spec is not None, "with a loader there is one"
    return spec


def _in_bytecode(name: str, loader: _Reader) -> Iterator[Import]:
    try:
        code = loader.get_code(name)
    except ImportError:  # another version of Python compiled it
        return
    if code is not None:
        yield from in_bytecode(code)
