"""Tasks from features: a tree of what programs are about is sampled, and a language model writes a task about each sample.

The idea is EpiCoder's (arXiv 2501.04694): breadth comes from the tree, and not from what the model thinks of first. Tree, prompts and
code are this project's.
"""
