"""From sinograms to a pattern in each voxel; arrays in, arrays out."""
