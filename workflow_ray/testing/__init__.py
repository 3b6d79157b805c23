"""Tools to test workflows, and adapters (`workflow_ray.testing.conformance`)."""

from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.histories import assert_history
from workflow_ray.testing.tester import WorkflowTester, WorkflowTesterFactory

__all__ = ["FakeClock", "WorkflowTester", "WorkflowTesterFactory", "assert_history"]
