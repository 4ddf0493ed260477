"""A trainer in plain torch, written from the definitions and not from the code under test.

`trainer` shares with kd_core the networks and the methods' terms, nothing of its loop, step, student, objective, loader
or optimizer; so what it comes to must be equal bit for bit. `losses` shares nothing: at each step its terms and their
gradients are held against the methods' own. `images` changes images one by one; it shares a resized crop's draws.
"""
