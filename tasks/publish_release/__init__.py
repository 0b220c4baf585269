"""Publishes releases: immutable, versioned folders of Parquet with manifest, card and diff.

`publish.publish` takes the current tables of a build as a `source.ReleaseSource`; nothing here
touches a workspace.
"""
