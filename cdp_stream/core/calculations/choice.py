"""Which fold keeps a calculation exact with the least state."""

from __future__ import annotations

from cdp_stream.core.calculations.count import CountEver, CountWithin
from cdp_stream.core.calculations.distinct import DistinctEver, DistinctWithin, ListEver
from cdp_stream.core.calculations.extreme import ExtremeEver, ExtremeWithin
from cdp_stream.core.calculations.fold import Fold
from cdp_stream.core.calculations.frequency import FrequencyEver, FrequencyWithin
from cdp_stream.core.calculations.occurrence import (
    FirstTimeEver,
    FirstTimeWithin,
    FirstValueEver,
    FirstValueWithin,
    LastTime,
    LastValue,
)
from cdp_stream.core.calculations.total import TotalEver, TotalWithin
from cdp_stream.core.model.criterion import Calculation

_EVER: dict[Calculation, Fold] = {
    Calculation.COUNT: CountEver(),
    Calculation.SUM: TotalEver(is_average=False),
    Calculation.MIN: ExtremeEver(is_max=False),
    Calculation.MAX: ExtremeEver(is_max=True),
    Calculation.AVERAGE: TotalEver(is_average=True),
    Calculation.MOST_FREQUENT: FrequencyEver(),
    Calculation.UNIQUE_VALUES_COUNT: DistinctEver(),
    Calculation.UNIQUE_LIST: ListEver(),
    Calculation.FIRST_OCCURRENCE: FirstValueEver(),
    Calculation.LAST_OCCURRENCE: LastValue(),
    Calculation.FIRST_OCCURRENCE_TIMESTAMP: FirstTimeEver(),
    Calculation.LAST_OCCURRENCE_TIMESTAMP: LastTime(),
}

_WITHIN: dict[Calculation, Fold] = {
    Calculation.COUNT: CountWithin(),
    Calculation.SUM: TotalWithin(is_average=False),
    Calculation.MIN: ExtremeWithin(is_max=False),
    Calculation.MAX: ExtremeWithin(is_max=True),
    Calculation.AVERAGE: TotalWithin(is_average=True),
    Calculation.MOST_FREQUENT: FrequencyWithin(),
    Calculation.UNIQUE_VALUES_COUNT: DistinctWithin(is_list=False),
    Calculation.UNIQUE_LIST: DistinctWithin(is_list=True),
    Calculation.FIRST_OCCURRENCE: FirstValueWithin(),
    Calculation.LAST_OCCURRENCE: LastValue(),
    Calculation.FIRST_OCCURRENCE_TIMESTAMP: FirstTimeWithin(),
    Calculation.LAST_OCCURRENCE_TIMESTAMP: LastTime(),
}


def fold_of(calculation: Calculation, *, forgets: bool) -> Fold:
    """The fold of a calculation; `forgets` where values leave its window by passing time."""
    return (_WITHIN if forgets else _EVER)[calculation]
