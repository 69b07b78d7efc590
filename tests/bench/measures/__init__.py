"""One module for each group of figures. `measure(settings)` returns what was found; `TITLE` says what it asks."""
