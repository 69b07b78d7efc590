"""SWE AI Fleet: the code that runs on the Ray workers."""
