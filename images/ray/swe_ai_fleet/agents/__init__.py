"""Agents: what happens inside a job."""
