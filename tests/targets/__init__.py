"""Fleets that an experiment changes, and the changes: what faults and variants share."""
