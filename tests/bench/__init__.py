"""What the suite costs and how fast a fleet is, each figure beside the floor that it rests on,
measured in the same run.
"""
