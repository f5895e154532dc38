"""doit's commands as this project has them, and what else it takes from here: how it prints, how it compares files.

The only folder that knows doit's inside. Begin with command_line.py and one_message.py.
"""
