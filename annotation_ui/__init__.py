"""All that the annotator sees: labeling config, guide, server launcher, adapter to its JSON."""
