"""Drivers without an adapter, which do again what adapters were recorded having them do."""

from importlib import import_module

from benchmarks.bare.driver import Bare, Call, Repeat

DRIVERS = {
    "sqlite": ("sqlite", "BareSqlite"),
    "postgresql": ("postgresql", "BarePostgresql"),
    "mysql": ("mariadb", "BareMariadb"),
    "mariadb": ("mariadb", "BareMariadb"),
    "redis": ("redis", "BareRedis"),
    "kafka": ("kafka", "BareKafka"),
}


def bare(scheme: str) -> Bare:
    """The driver beneath the adapter of that scheme.

    Only that one is imported: others may not be installed.
    """
    module, kind = DRIVERS[scheme]
    driver: Bare = getattr(import_module(f"benchmarks.bare.{module}"), kind)()
    return driver


__all__ = ["Bare", "Call", "Repeat", "bare"]
