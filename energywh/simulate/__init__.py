"""A local stand-in for the outside systems: same HTTP, data computed from a seed.

grid.py          what the simulated grid does: demand, fuels, interchange of any hour, from the seed alone
reporting.py     what of it is public at a given time: gaps, nulls, absurd values, revisions
page.py          what a page is: the routes of one source; a module with a function `page` adds one
eia.py           EIA's API v2: query strings to bodies, whatever backend holds the rows
backend.py       the simulated grid behind that page, and in bulk as Arrow tables
weather.py       what the simulated weather does at any place and hour, from the seed alone
open_meteo.py    Open-Meteo's archive and forecast APIs: query strings to bodies
server.py        all pages over HTTP, with a clock, rate limits and faults
"""
