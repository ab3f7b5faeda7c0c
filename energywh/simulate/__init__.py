"""A local stand-in for the outside systems: the same HTTP, with data computed from a seed.

grid.py          what the simulated grid does in any hour: demand, fuels, interchange, from the seed alone
authorities.py   what the formulas of demand and fuels share;  fuel_rules.py  what the plants of each fuel make
reporting.py     which of it is public at a given time: gaps, nulls, absurd values, revisions
api.py           what a simulated API is; a module with a function `api` adds one
eia.py           EIA's API v2: query strings to bodies;  eia_routes.py  its routes and rows
backend.py       the simulated grid behind EIA's API, and in bulk as Arrow tables
eia_files.py     EIA's half-year files
caiso.py         CAISO's OASIS;  california.py  what it reports of the simulated grid
weather.py       what the simulated weather does at any place and hour, from the seed alone
open_meteo.py    Open-Meteo's archive and forecast APIs
server.py        all APIs over HTTP, with faults;  traffic.py  the clock, counters and rate limits
"""
