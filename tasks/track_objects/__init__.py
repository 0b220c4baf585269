"""Stage `track`: follows the objects of each event through its window; one module a backend.

`protocol` says what a backend is given and gives, `stage` builds the clips and makes tubes of what
comes back, `synchrony` is the embedded backend, on `motion` and `regions`.
"""
