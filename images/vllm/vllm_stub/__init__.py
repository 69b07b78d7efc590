"""A stand-in for vLLM's OpenAI-compatible server, and a proxy that injects faults in front of either.

The stand-in answers the routes, fields and errors of vLLM that this suite relies on, without a model: its text is
made from the prompt. It calls itself a stub in its version, its model rows, its texts and its metrics.
"""

IMITATED_VERSION = "0.32.0"
"""The vLLM release whose answers were compared, field by field."""

__version__ = f"{IMITATED_VERSION}+stub"
