"""How the practice portal behaves: limits, speed, and life times. Every value may be changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Settings:
    """Limits, speed and life times of the practice portal; the defaults are those of the real service."""

    port: int = 0
    """Port of 127.0.0.1; 0 takes a free one. Read once, at the start."""
    latency: float = 0.0
    """Seconds added before every answer."""
    bandwidth: int | None = None
    """Bytes a second of one answer; `None` is as fast as the machine."""
    chunked: bool = False
    """Send data with chunked encoding, so that it states no length."""
    token_minutes: float | None = None
    """Longest life of a token, whatever was asked for; `None` is the service's own two weeks."""
    check_referer: bool = False
    """Answer 498 when a token made for a referer arrives with another one."""
    lockout_attempts: int = 5
    """Wrong passwords in a row after which an account is locked."""
    second_factor: str = "123456"
    """The code that accounts with a second factor have to give."""
    redirect_data: bool | None = None
    """Answer 302 to another host name for file data; `None`: as the mode does (online yes, enterprise no)."""
    redirect_seconds: float = 300.0
    """Life of the signed address that such an answer leads to."""
    export_seconds: float = 0.0
    """Least duration of an export job."""
    max_export_jobs: int | None = None
    """Export jobs that run at once; the others wait in line."""
    failing_exports: set[str] = field(default_factory=set)
    """Ids of service items whose export jobs end as failed."""
    search_window: int = 10_000
    """Only so many results of one search can be paged through."""
    shuffle_ties: bool = True
    """Results that the sort field does not tell apart change places from request to request."""
    index_lag: float = 0.0
    """Seconds before a new item can be found by search."""
    request_units_per_minute: int | None = None
    """Weighted requests that the organization may make in a minute; more are answered 429. `None`: any number."""
    minute_seconds: float = 60.0
    """How long such a minute lasts."""
