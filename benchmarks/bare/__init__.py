"""Drivers without an adapter, which do again what adapters were recorded having them do."""

from benchmarks.bare.driver import Bare, Call, Repeat


def bare(scheme: str) -> Bare:
    """The driver beneath the adapter of that scheme. Imported only now: the others may not be installed."""
    if scheme == "sqlite":
        from benchmarks.bare.sqlite import BareSqlite

        return BareSqlite()
    raise ValueError(f"no bare driver is known for {scheme}")


__all__ = ["Bare", "Call", "Repeat", "bare"]
