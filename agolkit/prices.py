"""What Amazon charges for keeping objects in a class of storage, and for reading archived ones: estimates for plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

GB = 1 << 30
"""Bytes in what Amazon calls a GB."""
DAYS_A_MONTH = 365.25 / 12

OVERHEAD_ARCHIVED, OVERHEAD_STANDARD = 32 << 10, 8 << 10
"""Bytes that are billed beside each archived object: some in its own class, some in the standard class."""

Tier = Literal["bulk", "standard"]
"""How quickly archived objects come back."""


class Charge(NamedTuple):
    """What a class of storage costs, in US dollars."""

    gb_month: float
    days: int = 0
    """Billed for each object at least."""
    move: float = 0.0
    """Moving one object into it."""


class Return(NamedTuple):
    """How archived objects come back, and what that costs."""

    hours: tuple[int, int]
    """It takes so long, from and to."""
    gb: float
    request: float


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in US dollars. Those given here are of the region us-east-1, by Amazon's price list (aws.amazon.com/s3,
    "pricing") of November 2025, without taxes and discounts. Other regions cost up to twice as much, in about the same
    proportions; so which of two ways is cheaper hardly changes."""

    charges: Mapping[str, Charge] = field(
        default_factory=lambda: {
            "STANDARD": Charge(0.023),
            "INTELLIGENT_TIERING": Charge(0.023),
            "STANDARD_IA": Charge(0.0125, 30, 0.01e-3),
            "ONEZONE_IA": Charge(0.01, 30, 0.01e-3),
            "GLACIER_IR": Charge(0.004, 90, 0.02e-3),
            "GLACIER": Charge(0.0036, 90, 0.03e-3),
            "DEEP_ARCHIVE": Charge(0.00099, 180, 0.05e-3),
        }
    )
    returns: Mapping[tuple[str, str], Return] = field(
        default_factory=lambda: {
            ("GLACIER", "bulk"): Return((5, 12), 0.0, 0.0),
            ("GLACIER", "standard"): Return((3, 5), 0.01, 0.05e-3),
            ("DEEP_ARCHIVE", "bulk"): Return((12, 48), 0.0025, 0.025e-3),
            ("DEEP_ARCHIVE", "standard"): Return((9, 12), 0.02, 0.1e-3),
        }
    )

    def of(self, storage_class: str) -> Charge:
        """What a class costs; one that is not known, as the standard class."""
        return self.charges.get(storage_class, self.charges["STANDARD"])

    def month(self, storage_class: str, size: int, *, archived: bool) -> float:
        """Dollars a month for keeping an object."""
        in_standard, extra = (OVERHEAD_STANDARD, OVERHEAD_ARCHIVED) if archived else (0, 0)
        standard = self.charges["STANDARD"].gb_month * in_standard
        return (self.of(storage_class).gb_month * (size + extra) + standard) / GB

    def staying(self, storage_class: str, size: int, days: float, *, age: float = 0.0) -> float:
        """Dollars for keeping an object in its class for so many days more; `age` is how many it is there."""
        least = max(0.0, self.of(storage_class).days - age)
        return self.month(storage_class, size, archived=False) * max(days, least) / DAYS_A_MONTH

    def moving(self, storage_class: str, size: int, days: float, to: str, *, age: float = 0.0) -> float:
        """Dollars for moving an object to an archive class and keeping it for so many days there: the request, what is
        billed at least, here and there, and the overhead."""
        leaving = self.staying(storage_class, size, 0.0, age=age)
        kept = self.month(to, size, archived=True) * max(days, self.of(to).days) / DAYS_A_MONTH
        return leaving + self.of(to).move + kept

    def thawing(self, storage_class: str, size: int, tier: str, days: int) -> float:
        """Dollars for making an archived object readable for so many days: a copy in the standard class."""
        back = self.returns[storage_class, tier]
        copy = self.month("STANDARD", size, archived=False) * days / DAYS_A_MONTH
        return back.gb * size / GB + back.request + copy


def in_dollars(amount: float) -> str:
    """`about $1.20`; what is less than a cent, as that."""
    return f"about ${amount:,.2f}" if amount >= 0.005 else "less than a cent"
