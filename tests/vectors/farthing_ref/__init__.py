"""A second implementation of the Farthing protocol, written from proto/SPEC.md alone.

It favours plainness over speed: every structure is built the way the specification defines it, so that agreement
with the Rust code means something.
"""
