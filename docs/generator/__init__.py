"""What `make docs` runs: pages of `docs/`, and pages made from the code, as one site.

`pages` copies the pages and their links to `build/docs`; `commands`, `configuration` and `api` fill
in what the code itself says, and `shared_entries` helps to read docstrings. `python -m
docs.generator` does it all and calls Zensical; `versions` keeps sites of several versions.
"""
