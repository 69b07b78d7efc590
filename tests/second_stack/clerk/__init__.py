"""The service of the second stack: opens and closes ballots. It serves nothing; it only hears and speaks on NATS."""
