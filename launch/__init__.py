"""Experiments as graphs of stages, and what runs them.

A stage is a module entry point with its flags; this room knows in which order
stages must run and whether their outputs stand, not what they compute.
"""
