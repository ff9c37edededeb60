"""Words of maintenance that companies, categories and machines share."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field


class MaintenanceType(StrEnum):
    PREVENTIVE = "PREVENTIVE"
    CORRECTIVE = "CORRECTIVE"
    INSPECTION = "INSPECTION"
    CALIBRATION = "CALIBRATION"


class Meter(StrEnum):
    """What a machine counts while it works."""

    HOURS = "HOURS"
    KILOMETRES = "KILOMETRES"
    MILES = "MILES"
    CYCLES = "CYCLES"
    UNITS = "UNITS"


#: How long work takes or is expected to take, up to a year.
Minutes = Annotated[int, Field(ge=0, le=527_040)]
IntervalDays = Annotated[int, Field(ge=1, le=3660, description="Days from one service to the next", examples=[90])]
