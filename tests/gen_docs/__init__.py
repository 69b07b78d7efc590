"""What of docs/ is made from code: `ci/gen-docs`."""
