"""MariaDB: its connections, the lock that says who serves a store, and how commits of other
processes are noticed.
"""
