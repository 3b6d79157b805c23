"""Draws a diagram as an SVG document."""
