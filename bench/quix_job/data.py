"""The data of a command of job J, for those who decide it without our code."""

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """A new machine."""

    model_config = ConfigDict(frozen=True)
    equipment_id: str
    name: str
    serial_number: str
    category_id: str
    in_service_on: str
    purchase_price: dict[str, str]
