"""Words of maintenance that companies and machines share."""

from enum import StrEnum


class MaintenanceType(StrEnum):
    PREVENTIVE = "PREVENTIVE"
    CORRECTIVE = "CORRECTIVE"
    INSPECTION = "INSPECTION"
    CALIBRATION = "CALIBRATION"
