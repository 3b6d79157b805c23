"""MariaDB: its connections, the lock of the process that serves a store, and how commits of other
processes are noticed.
"""
