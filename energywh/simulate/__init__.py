"""A local simulator of the sources: the same HTTP protocols, with data computed from a seed.

grid.py          the simulated grid: demand, fuels and interchange of any hour, computed from the seed
authorities.py   inputs shared by the formulas of demand and fuels;  fuel_rules.py  output by fuel
reporting.py     the part of the data that is public at a given time: gaps, nulls, absurd values, revisions
api.py           the base class of simulated APIs; a module with a function `api` adds one
eia.py           EIA's API v2: query strings to bodies;  eia_routes.py  its routes and rows
backend.py       the simulated grid behind EIA's API, and in bulk as Arrow tables
eia_files.py     EIA's half-year files
caiso.py         CAISO's OASIS;  california.py  the values that it reports
weather.py       the simulated weather of any place and hour, computed from the seed
open_meteo.py    Open-Meteo's archive and forecast APIs
server.py        all APIs over HTTP, with faults;  traffic.py  the clock, counters and rate limits
"""
