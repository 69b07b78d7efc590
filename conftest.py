"""The front door: options, fixtures and reports are registered by fixtures/plugin.py."""

pytest_plugins = ["fixtures.plugin"]
