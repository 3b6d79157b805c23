"""Diagrams of workflows, as text or as a picture. They know nothing of how workflows are run."""

from workflow_ray.diagram.diagram import Diagram
from workflow_ray.diagram.parts import Kind, Label, Mark, StatusPart, Tally, Transition

__all__ = ["Diagram", "Kind", "Label", "Mark", "StatusPart", "Tally", "Transition"]
