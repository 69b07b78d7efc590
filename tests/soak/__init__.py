"""The checklist again and again: status flips, durations, leftovers (`./ci/soak`)."""
