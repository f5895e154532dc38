"""The fleet: nodes are made on the hosts of a Ray cluster, by the same processes as on one machine.

Begin with fleet.py, which a build sees; seats.py has the actors, actor.py is what they do on their hosts.
"""
