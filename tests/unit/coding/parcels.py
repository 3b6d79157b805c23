"""Workflows with codecs that use everything that may hold data of a user."""

SECRET = "marked-secret"
