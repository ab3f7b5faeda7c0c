"""A local stand-in for the outside systems: same HTTP, data computed from a seed.

grid.py          what the simulated grid does: demand, fuels, interchange of any hour, from the seed alone
reporting.py     what of it is public at a given time: gaps, nulls, absurd values, revisions
eia.py           EIA's API v2 as a protocol: query strings to bodies, whatever backend holds the rows
backend.py       the simulated grid behind that protocol, and in bulk as Arrow tables
server.py        the protocol over HTTP, with a clock, a rate limit and faults
"""
