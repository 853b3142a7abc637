"""Crystal structures, the instrument profile, and the whole-pattern fit of every voxel."""
