"""Roles on Ray: each a named, detached actor, looked after by a supervisor that is one itself."""
