"""Roles: processes that must run once. Pure asyncio; ports, clock and definition are arguments."""
