"""The parts of the sample world: kinds, script, picture, sound, words, encoding, truth.

`earshot.media.sample_world` is the way in; nothing here is given to the pipeline.
"""
