"""Places the nodes of a directed graph in layers, and routes its links between them.

The method of Sugiyama, with coordinates by Brandes and Köpf. It knows boxes and links only. The
same input gives the same layout. Boxes never overlap, and links run through no box.
"""

from workflow_ray.diagram.layout.drawing import Drawing, Point, Route, lay_out
from workflow_ray.diagram.layout.sizes import Box, Link

__all__ = ["Box", "Drawing", "Link", "Point", "Route", "lay_out"]
