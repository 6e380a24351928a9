"""From a traits document to a corpus: `python -m data_gen`; docs/data_gen.md.

`traits` reads the document, `pipeline` plans, drafts, answers and matches,
`teachers` are asked, `gates` judge, `corpus` is what is published. `miniature`
is the quickstart's deterministic world, which needs none of them.
"""
