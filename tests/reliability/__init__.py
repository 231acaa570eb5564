"""What must hold whatever happens: odd configs, kills, damage, and places that fail.

`pytest --at-length tests/reliability` runs the long version.
"""
