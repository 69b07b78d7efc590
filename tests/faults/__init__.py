"""The catalogue of faults: each check is seen to fail for its fault, and nothing else with it."""
