"""The wheel, installed where there is no checkout: `./ci/test package`."""
