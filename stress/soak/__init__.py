"""The soak: hours of use in minutes, everything at once, and afterwards proof from the server's own record.

``python -m stress.soak`` runs it. ``scenario`` says who may do what, ``service`` is the local S3 Access Grants in a
process of its own, with faults, ``load`` the threads and tasks, ``chaos`` what befalls them meanwhile, ``leaks``
what may be left of it, and ``oracle`` whether all was right: it shares no rule with the package.
"""
