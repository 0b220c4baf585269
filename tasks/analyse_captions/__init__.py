"""Says who sounds: finds the events of a video and the things that its captions name.

Takes the captions of one video, with its given events if it has any; gives events and mentions,
each mention with the verbatim span that names the thing. It never joins mentions into objects
(`earshot.tasks.extract_objects` does) and never looks at the picture. Backends share the protocol
of `protocol.py`: `rules` needs no key, no weights and no network.
"""
