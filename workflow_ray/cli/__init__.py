"""The command line: one module per noun; errors and exit codes in main.py."""
