"""Scale out: the pure functions of ingest and analyse on the workers of a Dask cluster."""
