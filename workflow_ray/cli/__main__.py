"""`python -m workflow_ray.cli` is `workflow-ray`, where that isn't on the PATH."""

from workflow_ray.cli.main import main

main()
