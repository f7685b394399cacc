"""The city of Springfield: the organization that the demo and most tests back up."""

from __future__ import annotations

from agolkit.sandbox.city.apps import add_apps
from agolkit.sandbox.city.builder import Builder
from agolkit.sandbox.city.files import add_files
from agolkit.sandbox.city.hosted import add_hosted
from agolkit.sandbox.city.land import add_land
from agolkit.sandbox.city.maps import add_maps
from agolkit.sandbox.city.networks import add_networks
from agolkit.sandbox.city.oddities import add_oddities
from agolkit.sandbox.city.people import add_people
from agolkit.sandbox.city.references import add_references
from agolkit.sandbox.city.stories import add_stories
from agolkit.sandbox.city.work import add_work
from agolkit.sandbox.organization import Organization


def springfield() -> Organization:
    """A fresh copy of Springfield; every copy is the same to the byte, and yours to change."""
    org = Organization(id="sPr1nGf1eLdC1ty0", name="City of Springfield", url_key="springfield")
    add_people(org)
    city = Builder(org)
    services = (add_networks, add_land, add_hosted, add_references)
    documents = (add_maps, add_apps, add_stories, add_work)
    for add in (*services, *documents, add_files, add_oddities):
        add(city)
    return org
