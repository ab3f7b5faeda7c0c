/*---
description = """
Prices and forecast errors of CAISO in the hours before t: one row for every hour t of CISO; other regions have no rows. All
columns are [past]: computed from hours before t only. Windows count hours, not values.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "168h"

[columns]
caiso_load_error_lag_24h_mwh = "[past] CISO only: CAISO's actual load minus its day-ahead forecast at t-24, MWh."
price_sp15_lag_24h_usd_per_mwh = "[past] CISO only: day-ahead price at SP15 at t-24, USD/MWh."
price_sp15_lag_168h_usd_per_mwh = "[past] CISO only: day-ahead price at SP15 at t-168, USD/MWh."
price_sp15_mean_24h_usd_per_mwh = "[past] CISO only: mean day-ahead price at SP15 of t-24..t-1, USD/MWh."
price_sp15_mean_168h_usd_per_mwh = "[past] CISO only: mean day-ahead price at SP15 of t-168..t-1, USD/MWh."
price_rtm_sp15_lag_1h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in the hour at t-1, USD/MWh."
price_rtm_sp15_lag_24h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in the hour at t-24, USD/MWh."
price_rtm_dam_sp15_lag_1h_usd_per_mwh = "[past] CISO only: real-time minus day-ahead price at SP15 at t-1, USD/MWh."
price_rtm_dam_sp15_lag_24h_usd_per_mwh = "[past] CISO only: real-time minus day-ahead price at SP15 at t-24, USD/MWh."
---*/
-- Means use decimals with five decimal places, the finest published. Prices of 1e9 USD/MWh and more do not fit and are left out.
with units as (
    select
        *,
        try_cast(price_sp15_usd_per_mwh as decimal(14, 5)) as price_exact
    from normalized.grid_screened
    where region = 'CISO'
),

windowed as (
    select
        region,
        hour_utc,
        lag(caiso_load_mwh - caiso_load_forecast_mwh, 24) over hours as caiso_load_error_lag_24h_mwh,
        lag(price_sp15_usd_per_mwh, 24) over hours as price_sp15_lag_24h_usd_per_mwh,
        lag(price_sp15_usd_per_mwh, 168) over hours as price_sp15_lag_168h_usd_per_mwh,
        avg(price_exact) over past_24h as price_mean_24h,
        avg(price_exact) over past_168h as price_mean_168h,
        lag(price_rtm_sp15_usd_per_mwh, 1) over hours as price_rtm_sp15_lag_1h_usd_per_mwh,
        lag(price_rtm_sp15_usd_per_mwh, 24) over hours as price_rtm_sp15_lag_24h_usd_per_mwh,
        lag(price_rtm_sp15_usd_per_mwh - price_sp15_usd_per_mwh, 1) over hours as price_rtm_dam_sp15_lag_1h_usd_per_mwh,
        lag(price_rtm_sp15_usd_per_mwh - price_sp15_usd_per_mwh, 24) over hours as price_rtm_dam_sp15_lag_24h_usd_per_mwh
    from units
    window
        hours as (partition by region order by hour_utc),
        past_24h as (partition by region order by hour_utc rows between 24 preceding and 1 preceding),
        past_168h as (partition by region order by hour_utc rows between 168 preceding and 1 preceding)
)

select
    region,
    hour_utc,
    caiso_load_error_lag_24h_mwh,
    price_sp15_lag_24h_usd_per_mwh,
    price_sp15_lag_168h_usd_per_mwh,
    price_mean_24h as price_sp15_mean_24h_usd_per_mwh,
    price_mean_168h as price_sp15_mean_168h_usd_per_mwh,
    price_rtm_sp15_lag_1h_usd_per_mwh,
    price_rtm_sp15_lag_24h_usd_per_mwh,
    price_rtm_dam_sp15_lag_1h_usd_per_mwh,
    price_rtm_dam_sp15_lag_24h_usd_per_mwh
from windowed
