"""From a traits document to a corpus: a deterministic world in plain Python.

    traits.md ──traits──▶ values ──world──▶ who holds what, which domains are
    held out ──▶ offers ──▶ transcripts, chats, suites
             ──▶ genres ──▶ plans ──render──▶ documents
    everything ──balance──▶ counted ──generate──▶ a published directory

No network, no model, no JAX. The same traits, sizes and seed give the same
bytes, and nothing depends on what the traits are called or on their order.

To add an axis, a domain or a name: a line in `lexicon`. To add a phrase: an
entry in a bank of `phrases`, `reasons`, `voices` or `scenes`. To add a genre: a
module in `genres` with frames and a `write(page)`.
"""
