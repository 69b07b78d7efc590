"""The checks on an image without nats-py must find that, and nothing else."""
