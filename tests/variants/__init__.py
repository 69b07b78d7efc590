"""The catalogue of variants: healthy fleets that differ from the reference stack, under which no check may fail."""
