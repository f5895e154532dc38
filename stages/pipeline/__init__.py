"""What the stages are: a declaration of each, what passes between them, and their order. Nothing here runs a stage.

Begin with stages.py; contracts.py has what passes between the stages, and decode.py is a declaration with everything.
"""
