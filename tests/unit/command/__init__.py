"""The commands of fleet-conformance."""
