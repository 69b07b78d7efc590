"""The agents of the second stack. The package travels to Ray's workers in a runtime environment."""
