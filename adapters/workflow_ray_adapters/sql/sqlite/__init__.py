"""SQLite: a file, its lock, and the threads that work on it."""
