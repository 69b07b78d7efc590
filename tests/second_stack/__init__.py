"""A fleet that shares nothing with the reference but Ray, NATS and a model server: votes on ballots."""
