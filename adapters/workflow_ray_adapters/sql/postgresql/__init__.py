"""PostgreSQL: its connections, the lock that says who serves a store, and the word of commits that it passes on."""
