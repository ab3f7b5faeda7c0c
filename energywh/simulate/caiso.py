"""CAISO's OASIS: returns a zip for a request target. Answers follow recorded ones and CAISO's list of errors."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from energywh.simulate.api import Headers, Reply, SimulatedApi, World
from energywh.simulate.california import (
    AREAS,
    COMPONENTS,
    INTERVALS_AN_HOUR,
    NODES,
    RENEWABLES,
    SCHEDULES,
    TOTAL_ZONE,
    California,
)
from energywh.simulate.hours import EPOCH, hour_number, local_hours
from energywh.simulate.noise import Floats, Hours, mix

PREFIX = "/oasisapi"
PACIFIC = "America/Los_Angeles"
MOST_SPAN = timedelta(days=31)
MOST_SPAN_OF_ALL = timedelta(hours=25)  # for all nodes: an operating day
MOST_NODES = 10
KEPT_HOURS = 39 * 731
PUBLISHED_AT = 13  # Pacific hour at which the day ahead is published
ZIP = "application/x-zip-compressed"
_VIOLATION = b"CAISO Acceptable Use Policy Violation. Please retry your request after 5 seconds."
TOO_FAST = b"<html><body><p>" + _VIOLATION + b"</p></body></html>"

ERRORS = {
    1000: "No data returned for the specified selection",
    1001: "Invalid Parameters of the given report name",
    1002: "Invalid datetime format, please use valid datetime format",
    1004: "Data can be requested for period of 31 days only",
    1014: "Start Date is beyond the limit, Please Use valid Start Date that falls within the prescribed limit",
    1017: "Please select a maximum of 10 nodes or use the ALL option",
    1020: "Version parameter is missing or is invalid",
}


@dataclass(frozen=True)
class Report:
    """A report: its versions, its market runs with their lead in days (None: no lead), and its columns."""

    name: str
    versions: tuple[str, ...]
    markets: Mapping[str, int | None]
    columns: tuple[str, ...]


_TIMES = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")
_OPR = ("OPR_DT", "OPR_HR", "OPR_INTERVAL")
_NODE = ("NODE_ID_XML", "NODE_ID", "NODE", "MARKET_RUN_ID", "LMP_TYPE", "XML_DATA_ITEM", "PNODE_RESMRID", "GRP_TYPE")
REPORTS = {
    report.name: report
    for report in (
        Report(
            "SLD_FCST",
            ("1",),
            {"ACTUAL": None, "DAM": 0, "2DA": 1, "7DA": 7},
            (
                *(*_TIMES, "LOAD_TYPE", *_OPR, "MARKET_RUN_ID", "TAC_AREA_NAME"),
                *("LABEL", "XML_DATA_ITEM", "POS", "MW", "EXECUTION_TYPE", "GROUP"),
            ),
        ),
        Report(
            "SLD_REN_FCST",
            ("1",),
            {"ACTUAL": None, "DAM": 0},
            (
                *(*_OPR, *_TIMES, "TRADING_HUB", "RENEWABLE_TYPE", "LABEL", "XML_DATA_ITEM"),
                *("MARKET_RUN_ID_POS", "RENEW_POS", "MW", "MARKET_RUN_ID", "GROUP"),
            ),
        ),
        Report("PRC_LMP", ("1", "12"), {"DAM": 0}, (*_TIMES, *_OPR, *_NODE, "POS", "MW", "GROUP")),
        Report(
            "PRC_INTVL_LMP",
            ("1", "2", "3"),
            {"RTM": None},
            (*_TIMES, "OPR_DT", "OPR_HR", *_NODE, "POS", "VALUE", "OPR_INTERVAL", "GROUP"),
        ),
        Report(
            "ENE_SLRS",
            ("1",),
            {"DAM": 0, "RTM": None},
            (
                *(*_TIMES, "SLRS_TYPE", *_OPR, "MARKET_RUN_ID", "TAC_ZONE_NAME", "SCHEDULE"),
                *("XML_DATA_ITEM", "POS", "MW", "GROUP"),
            ),
        ),
    )
}
_LOAD_LABELS = {
    "ACTUAL": ("Total Actual Hourly Integrated Load", "SYS_FCST_ACT_MW"),
    "DAM": ("Demand Forecast Day Ahead", "SYS_FCST_DA_MW"),
    "2DA": ("Demand Forecast 2-Day Ahead", "SYS_FCST_2DA_MW"),
    "7DA": ("Demand Forecast 7-Day Ahead", "SYS_FCST_7DA_MW"),
}
_RENEWABLE_LABELS = {
    "ACTUAL": ("Renewable Actual", "RENEW_FCST_ACT_MW"),
    "DAM": ("Renewable Forecast Day Ahead", "RENEW_FCST_DA_MW"),
}
_PRICE_ITEMS = {
    "LMP": "LMP_PRC",
    "MCC": "LMP_CONG_PRC",
    "MCE": "LMP_ENE_PRC",
    "MCL": "LMP_LOSS_PRC",
    "MGHG": "LMP_GHG_PRC",
}
_ITEMS = {"Export": "TOT_EXP_MW", "Generation": "TOT_GEN_MW", "Import": "TOT_IMP_MW", "Load": "TOT_LOAD_MW"}


class _Refused(Exception):
    """OASIS answers with one of `ERRORS`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class _OasisQuery:
    """A parsed request. Hours are counted by their start; the end is exclusive."""

    report: Report
    market: str
    first: int
    end: int
    nodes: tuple[str, ...]  # of a price report
    every: bool  # all nodes, with one file per component
    start: datetime
    stop: datetime


@dataclass(frozen=True)
class _Series:
    """Values of several series, (series, hours or intervals), and the texts of each series by column."""

    labels: Mapping[str, Sequence[str]]
    values: Floats
    five_minutes: bool = False


class CaisoApi(SimulatedApi):
    """CAISO's OASIS."""

    source = "caiso"
    prefix = PREFIX

    def __init__(self, world: World) -> None:
        self.world = world
        self.california = California(world.grid, world.reporting)

    def too_fast(self) -> Reply:
        return Reply(429, TOO_FAST, content_type="text/html")

    def answer(self, target: str, headers: Headers) -> Reply:
        url = urlsplit(target)
        if url.path != f"{PREFIX}/SingleZip":
            return Reply(404, b"<html><body>Not Found</body></html>", content_type="text/html")
        now = self.world.now()
        try:
            query = _parse(dict(parse_qsl(url.query, keep_blank_values=True)))
            hours = self._public(query, now)
            return self._zip(query, hours, now)
        except _Refused as error:
            return _error(error.code, now)

    def _public(self, query: _OasisQuery, now: int) -> Hours:
        """Return the requested hours that are published and still kept.

        Raises:
            _Refused: no such hour.
        """
        hours = np.arange(query.first, query.end, dtype=np.int64)
        ahead = query.report.markets[query.market]
        if ahead is None:
            published = hours < now
        else:
            today, clock = divmod(int(local_hours(PACIFIC, np.array([now]))[0]), 24)
            published = local_hours(PACIFIC, hours) // 24 <= today + ahead + (clock >= PUBLISHED_AT)
        hours = hours[published & (hours >= now - KEPT_HOURS)]
        if not len(hours):
            raise _Refused(1014 if query.first >= now else 1000)
        return hours

    def _zip(self, query: _OasisQuery, hours: Hours, now: int) -> Reply:
        series = self._series(query, hours, now)
        table = _columns(query, series, hours)
        made_at = EPOCH + timedelta(hours=now)
        dates = (f"{EPOCH + timedelta(hours=int(hour)):%Y%m%d}" for hour in _local(query.start, query.stop))
        version = f"v{query.report.versions[-1]}"
        stem = f"{'_'.join(dates)}_{query.report.name}_{query.market}"
        name = f"{stem}_{made_at:%Y%m%d_%H_%M_%S}_v1"
        order = np.argsort(mix(np.arange(len(table["MARKET_RUN_ID"]), dtype=np.uint64) ^ np.uint64(query.first)))
        if query.every:
            places = {component: order[table["LMP_TYPE"][order] == component] for component in COMPONENTS}
            files = {f"{stem}_{part}_{version}.csv": _csv(query, table, at) for part, at in places.items()}
        else:
            files = {f"{name}.csv": _csv(query, table, order)}
        headers = {"Content-Disposition": f"inline; filename={name}.zip;"}
        return Reply(200, _zipped(files, made_at), len(order), ZIP, headers)

    def _series(self, query: _OasisQuery, hours: Hours, now: int) -> _Series:
        market, california = query.market, self.california
        match query.report.name:
            case "SLD_FCST":
                label, item = _LOAD_LABELS[market]
                count = len(AREAS)
                labels = {
                    "TAC_AREA_NAME": AREAS,
                    "LABEL": [label] * count,
                    "XML_DATA_ITEM": [item] * count,
                    "EXECUTION_TYPE": [market] * count,
                    "LOAD_TYPE": ["0"] * count,
                    "POS": ["0.8"] * count,
                }
                return _Series(labels, california.load(market, hours))
            case "SLD_REN_FCST":
                label, item = _RENEWABLE_LABELS[market]
                hubs, fuels = zip(*RENEWABLES, strict=True)
                count = len(RENEWABLES)
                labels = {
                    "TRADING_HUB": hubs,
                    "RENEWABLE_TYPE": fuels,
                    "LABEL": [label] * count,
                    "XML_DATA_ITEM": [item] * count,
                    "MARKET_RUN_ID_POS": ["1"] * count,
                    "RENEW_POS": ["2" if fuel == "Solar" else "1" for fuel in fuels],
                }
                return _Series(labels, california.renewable(market, hours))
            case "ENE_SLRS":
                zones, schedules, kinds = zip(*SCHEDULES, strict=True)
                chosen = [i for i, schedule in enumerate(schedules) if market == "DAM" or schedule != "Load"]
                items = [
                    f"ISO_{_ITEMS[schedule]}" if zone == TOTAL_ZONE else _ITEMS[schedule]
                    for zone, schedule in zip(zones, schedules, strict=True)
                ]
                labels = {"TAC_ZONE_NAME": zones, "SCHEDULE": schedules, "SLRS_TYPE": kinds, "XML_DATA_ITEM": items}
                labels["POS"] = ["1"] * len(zones)
                five_minutes = market == "RTM"
                values = california.schedule(hours, five_minutes=five_minutes)[chosen]
                picked = {name: [texts[i] for i in chosen] for name, texts in labels.items()}
                return _Series(picked, values, five_minutes)
            case _:
                nodes, five_minutes = query.nodes, market == "RTM"
                values = california.price(nodes, hours, now, five_minutes=five_minutes)
                count = len(nodes)
                ids = list(nodes) * len(COMPONENTS)
                kinds = tuple(component for component in COMPONENTS for _ in nodes)
                labels = dict.fromkeys(("NODE_ID_XML", "NODE_ID", "NODE", "PNODE_RESMRID"), ids)
                labels |= {"LMP_TYPE": list(kinds), "XML_DATA_ITEM": [_PRICE_ITEMS[kind] for kind in kinds]}
                labels |= {"GRP_TYPE": ["ALL_APNODES"] * len(ids), "POS": ["0"] * len(ids)}
                return _Series(labels, values.reshape(len(COMPONENTS) * count, -1), five_minutes)


_DATETIME = re.compile(r"(\d{8}T\d\d:\d\d)-0000")


def _parse(params: Mapping[str, str]) -> _OasisQuery:
    """Parse a request.

    Raises:
        _Refused: an unknown report, market, version, time or node.
    """
    report = REPORTS.get(params.get("queryname", ""))
    market = params.get("market_run_id", "")
    if report is None or market not in report.markets or params.get("resultformat") != "6":
        raise _Refused(1001)
    if params.get("version") not in report.versions:
        raise _Refused(1020)
    start, stop = (_moment(params.get(name, "")) for name in ("startdatetime", "enddatetime"))
    if stop <= start:
        raise _Refused(1002)
    nodes: tuple[str, ...] = ()
    every = params.get("grp_type") in ("ALL", "ALL_APNODES") or params.get("node") == "ALL"
    if "LMP_TYPE" in report.columns:
        named = [node for node in params.get("node", "").split(",") if node]
        if not every and not named:
            raise _Refused(1001)
        if not every and len(named) > MOST_NODES:
            raise _Refused(1017)
        nodes = NODES if every else tuple(node for node in named if node in NODES)
        if not nodes:
            raise _Refused(1000)
    if stop - start > (MOST_SPAN_OF_ALL if every and nodes else MOST_SPAN):
        raise _Refused(1004)
    first, end = hour_number(start), hour_number(stop + timedelta(minutes=59))
    return _OasisQuery(report, market, first, end, nodes, every and bool(nodes), start, stop)


def _moment(text: str) -> datetime:
    match = _DATETIME.fullmatch(text)
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H:%M") if match else _refuse(1002)
    except ValueError:
        raise _Refused(1002) from None


def _refuse(code: int) -> Any:
    raise _Refused(code)


def _local(*moments: datetime) -> Hours:
    return local_hours(PACIFIC, np.array([hour_number(moment) for moment in moments]))


def _columns(query: _OasisQuery, series: _Series, hours: Hours) -> dict[str, Any]:
    """Return the columns of an answer by name, one value per row: arrays of text, and numbers for the values."""
    repeats = INTERVALS_AN_HOUR if series.five_minutes else 1
    count = len(series.values)
    minutes = 60 // repeats
    hour_starts = hours.astype("datetime64[h]").astype("datetime64[m]")
    starts = (hour_starts[:, None] + np.arange(repeats) * np.timedelta64(minutes, "m")).ravel()
    local = local_hours(PACIFIC, hours)
    repeated = local == local_hours(PACIFIC, hours - 1)  # the second of two equal local hours in autumn
    at_time: dict[str, Any] = {
        "INTERVALSTARTTIME_GMT": _stamps(starts),
        "INTERVALENDTIME_GMT": _stamps(starts + np.timedelta64(minutes, "m")),
        "OPR_DT": np.repeat((local // 24).astype("datetime64[D]").astype(str), repeats),
        "OPR_HR": np.repeat(np.where(repeated, 25, local % 24 + 1).astype(str), repeats),
        "OPR_INTERVAL": np.tile([str(n + 1) for n in range(repeats)] if repeats > 1 else ["0"], len(hours)),
    }
    columns = {name: np.tile(texts, count) for name, texts in at_time.items()}
    columns |= {name: np.repeat(np.array(texts), len(starts)) for name, texts in series.labels.items()}
    columns["MARKET_RUN_ID"] = np.full(count * len(starts), query.market)
    columns["GROUP"] = np.repeat(np.arange(1, count + 1).astype(str), len(starts))
    columns["VALUE" if "VALUE" in query.report.columns else "MW"] = series.values.ravel()
    return columns


def _stamps(moments: Any) -> Any:
    return np.char.add(np.datetime_as_string(moments, unit="s"), "-00:00")


def _csv(query: _OasisQuery, columns: Mapping[str, Any], order: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    names = query.report.columns
    table = pa.table([pa.array(columns[name][order]) for name in names], names=list(names))
    sink = pa.BufferOutputStream()
    sink.write((",".join(names) + "\n").encode())
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="none"))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _zipped(files: Mapping[str, bytes], made_at: datetime) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in files.items():
            file = zipfile.ZipInfo(name, made_at.timetuple()[:6])
            file.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(file, content, compresslevel=1)
    return body.getvalue()


def _error(code: int, now: int) -> Reply:
    """Return an error in the format of OASIS: HTTP 200, in a zip."""
    made_at = EPOCH + timedelta(hours=now)
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
<m:OASISReport xmlns:m="http://www.caiso.com/soa/OASISReport_v1.xsd">
<m:MessageHeader>
\t<m:TimeDate>{made_at:%Y-%m-%dT%H:%M:%S}.000Z</m:TimeDate>
\t<m:Source>OASIS</m:Source>
\t<m:Version>v20131201</m:Version>
</m:MessageHeader>
<m:MessagePayload>
<m:RTO>
<m:name>CAISO</m:name>
<m:ERROR>
<m:ERR_CODE>{code}</m:ERR_CODE>
<m:ERR_DESC>{ERRORS[code]}</m:ERR_DESC>
</m:ERROR>

</m:RTO>
</m:MessagePayload>
</m:OASISReport>
"""
    headers = {"Content-Disposition": "inline; filename=INVALID_REQUEST.zip;"}
    return Reply(200, _zipped({"INVALID_REQUEST.xml": xml.encode()}, made_at), 0, ZIP, headers)


def api(world: World) -> CaisoApi:
    return CaisoApi(world)
