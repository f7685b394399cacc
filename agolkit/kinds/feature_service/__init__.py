"""Hosted feature layers: the definition of service and layers, and their rows in a File Geodatabase.

Once the portal has made the geodatabase it is opened, and its rows and attachments are compared with the service's
own ids before anything is called `verified`.
"""

from __future__ import annotations

from typing import Any

from agolkit.kinds.feature_service.geodatabase import save_geodatabase
from agolkit.kinds.reference import save_overrides
from agolkit.kinds.saving import Saving
from agolkit.portal import FeatureService

__all__ = ["save_feature_service"]


def save_feature_service(saving: Saving) -> None:
    """Save a hosted service with its rows; of somebody else's service, the reference."""
    save_overrides(saving)
    item = saving.item
    if "Hosted Service" not in item.type_keywords or not saving.portal.owns(item.url):
        saving.lives_elsewhere = True
        saving.described = "The layers live outside this portal; description, sharing and url are saved."
        return
    service = FeatureService(saving.portal, item.url)
    definition: dict[str, Any] = {}
    saving.part("definition", lambda: definition.update(root=service.root(), layers=service.layers()))
    saving.part("admin definition", lambda: definition.update(admin=service.admin()))
    if "layers" in definition:
        saving.part("geodatabase", lambda: definition.update(geodatabase=save_geodatabase(saving, service, definition)))
    if definition:
        saving.keep_json("definition", "service.json", definition)
