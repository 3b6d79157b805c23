"""What users test their workflows with, and adapters their promises."""
