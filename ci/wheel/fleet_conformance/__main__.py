"""`python -m fleet_conformance`, as the program fleet-conformance."""

from fleet_conformance.start import main

main()
