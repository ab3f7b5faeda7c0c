"""Writes `sql/seeds/holiday.csv`: the federal holidays of the United States, from the package `holidays`.

Run it with `python -m tests.support.holidays_seed`; tests/sql/test_seeds.py compares it with the package.
"""

from __future__ import annotations

from energywh.core.paths import sql_dir

YEARS = range(2015, 2061)  # the form began in 2015


def holiday_csv() -> str:
    """Return the seed: the date, the name, and whether it is a weekday on which one at a weekend is observed."""
    import holidays

    lines = ["date,holiday,is_observed"]
    for day, names in sorted(holidays.country_holidays("US", years=YEARS, observed=True).items()):
        # Two can meet on one day, as New Year's Day of the year after, which is left to the range.
        for name in names.split("; "):
            plain = name.removesuffix(" (observed)")
            lines.append(f"{day},{_quoted(plain)},{str(plain != name).lower()}")
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


if __name__ == "__main__":
    (sql_dir() / "seeds" / "holiday.csv").write_text(holiday_csv(), encoding="utf-8")
