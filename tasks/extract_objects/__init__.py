"""Key-object extraction: the mentions of a video joined into the objects that are followed."""
