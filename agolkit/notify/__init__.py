"""Telling people how a scheduled run ended: by mail, by a webhook, and to a check that misses runs which never came.

A notification that fails is said, and changes nothing else.
"""

from agolkit.notify.announcement import Announcement, announced
from agolkit.notify.notice import Notice
from agolkit.notify.sending import ping, send, send_all
from agolkit.notify.settings import NotifyOptions

__all__ = ["Announcement", "Notice", "NotifyOptions", "announced", "ping", "send", "send_all"]
