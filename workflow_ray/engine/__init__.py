"""The decisions of roles and client, as pure functions: no I/O, no clock, no randomness."""
