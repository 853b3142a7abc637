"""What each voxel is: a pretrained model on patterns brought to one q grid."""
