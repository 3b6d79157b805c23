"""Drivers without an adapter, which repeat the recorded calls of adapters."""

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
    """Return the driver that the adapter of a scheme uses.

    Imports only this one: others may not be installed.
    """
    module, kind = DRIVERS[scheme]
    driver: Bare = getattr(import_module(f"benchmarks.bare.{module}"), kind)()
    return driver


__all__ = ["Bare", "Call", "Repeat", "bare"]
