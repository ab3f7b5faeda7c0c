"""The columns that each column of a SELECT comes from, construct by construct."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from energywh.models.tracing.scope import Untraceable
from energywh.models.tracing.select import trace_select
from energywh.models.tracing.traces import ColumnOrigin, Relation

TABLES = {
    "n.a": ["region", "hour", "type", "x_mwh", "y_mwh"],
    "n.b": ["region", "hour", "z_mwh"],
    "n.c": ["hour", "parts"],
}


def trace(sql: str) -> Relation:
    return trace_select(sql, TABLES)


def shown(origin: ColumnOrigin) -> str:
    where = " and ".join(f"{choice.column}={'/'.join(choice.values)}" for choice in sorted(origin.where))
    return f"{origin.table[2:]}.{origin.column}" + (f" where {where}" if where else "")


def made_of(sql: str) -> Mapping[str, str]:
    """The inputs of each column's value, sorted, as text."""
    return {name: ", ".join(sorted(map(shown, each.values))) for name, each in trace(sql).columns.items()}


# A SELECT, and what its columns are made of: `name: origins; name: origins`.
CASES = {
    "select x_mwh + y_mwh as s, 1 as one from n.a": "s: a.x_mwh, a.y_mwh; one: ",
    "from n.a select X_MWH": "x_mwh: a.x_mwh",
    "select * exclude (hour, type) replace (x_mwh + y_mwh as y_mwh) from n.a": (
        "region: a.region; x_mwh: a.x_mwh; y_mwh: a.x_mwh, a.y_mwh"
    ),
    "select * rename (z_mwh as w) from n.b": "region: b.region; hour: b.hour; w: b.z_mwh",
    "select sum(columns('_mwh$')) from n.a": "x_mwh: a.x_mwh; y_mwh: a.y_mwh",
    "select max(columns(* exclude (region, type))) from n.a": "hour: a.hour; x_mwh: a.x_mwh; y_mwh: a.y_mwh",
    "select a.* exclude (region, type, y_mwh), b.z_mwh from n.a a join n.b b on a.hour = b.hour": (
        "hour: a.hour; x_mwh: a.x_mwh; z_mwh: b.z_mwh"
    ),
    "select n.a.x_mwh from n.a": "x_mwh: a.x_mwh",
    "select region, z_mwh from n.a full join n.b using (region)": "region: a.region, b.region; z_mwh: b.z_mwh",
    "select region from n.a left join n.b using (region)": "region: a.region",
    "select region from n.a right join n.b using (region)": "region: b.region",
    "select * from n.a natural join n.b": (
        "region: a.region; hour: a.hour; type: a.type; x_mwh: a.x_mwh; y_mwh: a.y_mwh; z_mwh: b.z_mwh"
    ),
    "select x_mwh as v from n.a union all select z_mwh from n.b": "v: a.x_mwh, b.z_mwh",
    "select x_mwh, region from n.a union all by name select region, z_mwh from n.b": (
        "x_mwh: a.x_mwh; region: a.region, b.region; z_mwh: b.z_mwh"
    ),
    "select x_mwh from n.a except select z_mwh from n.b": "x_mwh: a.x_mwh",
    "with t(p, q) as (select x_mwh, y_mwh from n.a) select q from t": "q: a.y_mwh",
    "with t as (with u as (select x_mwh as v from n.a) select v from u) select v from t": "v: a.x_mwh",
    "with recursive t as (select x_mwh as v from n.a union all select v + z_mwh from t, n.b) select v from t": (
        "v: a.x_mwh, b.z_mwh"
    ),
    "select case when type = 'D' then x_mwh when hour > 3 then y_mwh end as v from n.a": (
        "v: a.x_mwh where type=D, a.y_mwh"
    ),
    "select case type when 'D' then x_mwh end as v from n.a": "v: a.x_mwh where type=D",
    "select case when x_mwh < 0 then 'negative' when hour > 3 then 'late' end as v from n.a": "v: a.hour, a.x_mwh",
    "select if(x_mwh is null, 'n', null) as v from n.a where type = 'D'": "v: a.x_mwh where type=D",
    "select if(type in ('D', 'E'), x_mwh, y_mwh) as v from n.a": "v: a.x_mwh where type=D/E, a.y_mwh",
    "select max(x_mwh) filter (where type = 'D' and hour > 1) as v from n.a": "v: a.x_mwh where type=D",
    "select x_mwh from n.a where type in ('D', 'E') and 'D' = type": "x_mwh: a.x_mwh where type=D",
    "select arg_max(x_mwh, (hour, y_mwh)) as v from n.a": "v: a.x_mwh",
    "select lag(x_mwh, 1) over w as v from n.a window w as (partition by region order by hour)": "v: a.x_mwh",
    "select avg(x_mwh) over (w rows 1 preceding) as v from n.a window w as (order by hour)": "v: a.x_mwh",
    "select row_number() over (order by hour) as v from n.a": "v: ",
    "select list(x_mwh order by hour) as v from n.a": "v: a.x_mwh",
    "select quantile_cont(x_mwh, 0.5) as v, mode() within group (order by y_mwh) as m from n.a": (
        "v: a.x_mwh; m: a.y_mwh"
    ),
    "select count(*) as v from n.a": "v: a.*",
    "select x_mwh as v, v + y_mwh as w from n.a": "v: a.x_mwh; w: a.x_mwh, a.y_mwh",
    "select unnest(generate_series(hour, hour + 3)) as h from n.c": "h: c.hour",
    "select u.part from n.c, unnest(parts) as u(part)": "part: c.parts",
    "select i from range(10) as r(i)": "i: ",
    "select list_transform(parts, p -> p + hour) as v from n.c": "v: c.hour, c.parts",
    "select [p + hour for p in parts if p > 1] as v from n.c": "v: c.hour, c.parts",
    "select coalesce(*columns('_mwh$')) as v from n.a": "v: a.x_mwh, a.y_mwh",
    "select hash(n.*) as v from n.b as n": "v: b.hour, b.region, b.z_mwh",
    "select parts.first as v, c.parts.last as w from n.c": "v: c.parts; w: c.parts",
    "select (select max(z_mwh) from n.b where b.hour = a.hour) as v from n.a": "v: b.z_mwh",
    "select v from n.a, lateral (select x_mwh + z_mwh as v from n.b) as t": "v: a.x_mwh, b.z_mwh",
    "select hour in (select hour from n.b) as v from n.a": "v: a.hour, b.hour",
    "select x_mwh from n.a where exists (select 1 from n.b where b.hour = a.hour)": "x_mwh: a.x_mwh",
    "select x_mwh from n.a semi join n.b using (hour)": "x_mwh: a.x_mwh",
    "select z_mwh from n.a asof join n.b on a.region = b.region and a.hour >= b.hour": "z_mwh: b.z_mwh",
    "select p, q from (values (1, 'a'), (2, 'b')) as t(p, q)": "p: ; q: ",
    "select region, kind, v from n.a unpivot include nulls (v for kind in (x_mwh as 'X', y_mwh as 'Y'))": (
        "region: a.region; kind: ; v: a.x_mwh, a.y_mwh"
    ),
    "select * exclude (region, hour, type) from n.a unpivot ((v, w) for k in ((x_mwh, y_mwh) as 'A'))": (
        "k: ; v: a.x_mwh; w: a.y_mwh"
    ),
    # A side of a UNION that holds another constant is left out.
    "with t as (select x_mwh as v, 'A' as k from n.a union all select z_mwh, 'B' from n.b) "
    "select v from t where k = 'B'": "v: b.z_mwh",
    "with t as (select x_mwh as v, 'A' as k from n.a union all select z_mwh, 'B' from n.b), "
    "u as (select k as kind, sum(v) as total from t group by all) "
    "select max(total) filter (where kind = 'A') as v from u": "v: a.x_mwh",
    # What lag hands on is of another row, about which the constant of this one says nothing.
    "with t as (select x_mwh as v, 'A' as k from n.a union all select z_mwh, 'B' from n.b), "
    "u as (select k, lag(v) over (order by v) as before from t) select before from u where k = 'B'": (
        "before: a.x_mwh, b.z_mwh"
    ),
    # Of a table that is read twice, a choice is about one of the two.
    "select p.x_mwh as v, q.x_mwh as w from n.a p left join n.a q on p.hour = q.hour where p.type = 'D'": (
        "v: a.x_mwh where type=D; w: a.x_mwh"
    ),
}


@pytest.mark.parametrize("sql", CASES)
def test_values_are_followed_through(sql: str) -> None:
    expected = dict(re.fullmatch(r"(\w+): ?(.*)", part).groups() for part in CASES[sql].split("; "))  # type: ignore[union-attr]
    assert made_of(sql) == expected


# A SELECT, and what its column v is chosen by, and its rows.
CONDITIONS = {
    "select case when type = 'D' then x_mwh end as v from n.a": ("a.type", "a.*"),
    "select max(x_mwh) filter (where hour > 1) as v from n.a group by region": ("a.hour", "a.*, a.region"),
    "select arg_max(x_mwh, hour) as v from n.a": ("a.hour", "a.*"),
    "select lag(x_mwh) over w as v from n.a window w as (partition by region order by hour)": (
        "a.hour, a.region",
        "a.*",
    ),
    "select z_mwh as v from n.a left join n.b on a.hour = b.hour": ("a.hour, b.*, b.hour", "a.*"),
    "select x_mwh as v from n.a left join n.b on a.hour = b.hour": ("", "a.*"),
    "select x_mwh as v from n.a right join n.b on a.hour = b.hour": ("a.*, a.hour, b.*, b.hour", "b.*"),
    "select x_mwh as v from n.a join n.b on a.hour = b.hour": ("", "a.*, a.hour, b.*, b.hour"),
    "select x_mwh as v from n.a anti join n.b on a.hour = b.hour": ("", "a.*, a.hour, b.*, b.hour"),
    "select x_mwh as v from n.a where type = 'D' qualify row_number() over (order by hour) = 1": (
        "",
        "a.*, a.hour, a.type",
    ),
    "select distinct x_mwh as v from n.a": ("", "a.*, a.x_mwh"),
    "select x_mwh as v from n.a order by y_mwh": ("", "a.*"),
    "select x_mwh as v from n.a order by y_mwh limit 1": ("", "a.*, a.y_mwh"),
    "select x_mwh as v, sum(y_mwh) as s from n.a group by all": ("", "a.*, a.x_mwh"),
    "select unnest(parts) as v from n.c": ("", "c.*, c.parts"),
    "select x_mwh as v from n.a union select z_mwh from n.b": ("", "a.*, a.x_mwh, b.*, b.z_mwh"),
    "select v from n.a unpivot (v for kind in (x_mwh, y_mwh))": ("", "a.*, a.x_mwh, a.y_mwh"),
    "select x_mwh + 1 as y, y as v from n.a where y > 1": ("", "a.*, a.x_mwh"),
}


@pytest.mark.parametrize("sql", CONDITIONS)
def test_what_chooses_a_value_or_a_row_is_kept_apart(sql: str) -> None:
    relation = trace(sql)

    def text(places: frozenset[tuple[str, str]]) -> str:
        return ", ".join(sorted(f"{table[2:]}.{column}" for table, column in places))

    assert (text(relation.columns["v"].conditions), text(relation.rows)) == CONDITIONS[sql]


@pytest.mark.parametrize(
    ("sql", "why"),
    {
        "select * from n.a pivot (sum(x_mwh) for type in ('D', 'NG'))": "PIVOT",
        "select columns(c -> c like '%mwh') from n.a": "COLUMNS with a function",
        "select nothing from n.a": "'nothing' is no column",
        "select x_mwh from n.elsewhere": "'n.elsewhere' is not known",
        "select * from range(3)": "not known by name",
        "select lag(x_mwh) over w as v from n.a": "no window is named 'w'",
    }.items(),
)
def test_what_cannot_be_traced_is_reported(sql: str, why: str) -> None:
    with pytest.raises(Untraceable, match=why):
        trace(sql)
