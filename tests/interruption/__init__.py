"""Runs that are ended by Ctrl-C, SIGTERM and SIGKILL at any moment, and what they leave: `ci/interrupt`, and tests."""
