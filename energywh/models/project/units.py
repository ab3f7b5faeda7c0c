"""Units of columns, which the ends of their names declare."""

from __future__ import annotations

from collections.abc import Mapping

# A unit is read from the end of a column's name; the first that fits.
UNITS: Mapping[str, str] = {
    "_usd_per_mwh": "USD/MWh",
    "_mwh_per_hour": "MWh/h",
    "_mwh": "MWh",
    "_mw": "MW",
    "_c": "°C",
    "_m_per_s": "m/s",
    "_w_per_m2": "W/m²",
    "_mm": "mm",
    "_hpa": "hPa",
    "_degrees": "°C",
    "_percent": "%",
    "_hours": "h",
    "_years": "years",
    "_utc": "UTC",
    "_ratio": "1",
}


def unit_of(column: str) -> str | None:
    """Return the unit that a column's name declares, or None."""
    return next((unit for ending, unit in UNITS.items() if f"_{column}".endswith(ending)), None)
