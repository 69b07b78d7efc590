"""The reference orchestrator: deliberations of agents on Ray, answers over NATS JetStream, gRPC in front."""

VERSION = "0.8.1"
ROLES = ("DEV", "QA", "ARCHITECT", "DEVOPS", "DATA")
