"""The parts of question writing: what can be asked, what the truth is, and which gates it passes.

Pure functions on the reviewed view of one video; `earshot.tasks.write_questions` is the stage.
"""
