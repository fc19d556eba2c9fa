"""torpor at home with this machine's service manager: its units written, looked at and taken away.

Standard library only, and imported by nothing but the commands that need it.
"""
