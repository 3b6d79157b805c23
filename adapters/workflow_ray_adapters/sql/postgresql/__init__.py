"""PostgreSQL: its connections, the lock that says who serves a store, and notifications."""
