"""The portal: signing in, the HTTP session, and every call of the Sharing REST API that agolkit makes.

The only room that knows `arcgis` and `requests`.
"""

from agolkit.portal.bodies import Received
from agolkit.portal.check import Finding
from agolkit.portal.client import ExportJob, Portal
from agolkit.portal.service import AttachmentFact, FeatureService, ServiceLayer, plain_id
from agolkit.portal.signin import connect
from agolkit.portal.tile_service import TileEstimate, TileFacts, TileService, package_ending

__all__ = [
    "AttachmentFact",
    "ExportJob",
    "FeatureService",
    "Finding",
    "Portal",
    "Received",
    "ServiceLayer",
    "TileEstimate",
    "TileFacts",
    "TileService",
    "connect",
    "package_ending",
    "plain_id",
]
