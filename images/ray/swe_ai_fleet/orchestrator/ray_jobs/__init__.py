"""Ray jobs: actors that the orchestrator starts on the workers."""
