"""normalized.carbon against the solution of its linear system."""

from __future__ import annotations

import numpy as np

from tests.sql.model_files import build, graph, load_seeds, warehouse

HOUR = "2024-07-01 00:00"
REGIONS = ("CISO", "BPAT", "PACW", "NEVP", "AZPS", "SRP")


def test_the_intensity_of_consumption_solves_the_system_of_all_neighbors() -> None:
    chance = np.random.default_rng(1)
    coal, wind = chance.uniform(100, 900, (2, len(REGIONS)))
    flow = chance.uniform(0, 60, (len(REGIONS), len(REGIONS))) * (1 - np.eye(len(REGIONS)))  # imports, by row
    con = warehouse()
    load_seeds(con)
    needed = graph().ancestors(["normalized.carbon"])
    build(con, *(name for name in graph().order if name in needed))
    for region, fuels in zip(REGIONS, np.transpose([coal, wind]), strict=True):
        for fuel, mwh in zip(("COL", "WND"), fuels, strict=True):
            con.execute(
                "insert into normalized.generation (region, hour_utc, fuel, generation_mwh) values (?, ?, ?, ?)",
                [region, HOUR, fuel, mwh],
            )
    for place in np.ndindex(flow.shape):
        if flow[place]:
            con.execute(
                "insert into normalized.interchange (region, neighbor, hour_utc, interchange_mwh) values (?, ?, ?, ?)",
                [REGIONS[place[0]], REGIONS[place[1]], HOUR, -flow[place]],
            )
    build(con, "normalized.carbon")
    found = {
        region: (mwh, residual)
        for region, mwh, residual in con.execute(
            "select region, consumption_co2_kg_per_mwh, residual_co2_kg_per_mwh from normalized.carbon"
        ).fetchall()
    }
    ((factor,),) = con.execute("""
        select kg_per_mwh from seeds.emission_factor
        where kind = 'combustion' and family = 'coal' and first_date > '2020-01-01'
    """).fetchall()
    solved = np.linalg.solve(np.diag(coal + wind + flow.sum(axis=1)) - flow, coal * factor)
    error = [abs(found[region][0] - value) for region, value in zip(REGIONS, solved, strict=True)]
    assert max(error) < 0.01 * solved.mean()
    residual = max(residual for _, residual in found.values())
    assert max(error) < 3 * residual, "the residual says how far it is from solved"
