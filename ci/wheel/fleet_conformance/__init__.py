"""Fleet conformance: does an AI agent fleet work as a whole?

The suite itself is in the folder _suite, byte for byte as in its repository. Its modules have general names there
(fixtures, tests), so that only processes of the suite's own have that folder on their path.
"""
