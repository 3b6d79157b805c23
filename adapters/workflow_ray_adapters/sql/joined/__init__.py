"""Writes in transactions of the application, on connections of its own driver."""
