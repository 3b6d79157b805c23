"""PostgreSQL: its connections, the lock of the process that serves a store, and notifications."""
