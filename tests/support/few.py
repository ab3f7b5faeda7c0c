"""A simulated country of a few authorities, so that half-year files are small."""

from __future__ import annotations

from energywh.simulate.atlas import Atlas

FEW = ("AVRN", "BPAT", "CISO", "LGEE", "MISO")
ABROAD = "BCHA"


def few_regions(*regions: str) -> Atlas:
    """Return an atlas of these authorities (``FEW`` without any), one foreign neighbor, and their subregions."""
    regions = regions or FEW
    whole = Atlas.load()
    near = {*regions, ABROAD}
    pairs = [(one, other) for one in regions for other in whole.neighbors(one) if other in near]
    subregions = [(code, one) for code in regions for one in whole.subregions(code)]
    return Atlas([region for code, region in whole.regions.items() if code in near | {"US48"}], pairs, subregions)
