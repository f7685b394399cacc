"""The city of Springfield: the organization that the demo and most tests back up."""

from __future__ import annotations

from agolkit.sandbox.city.alignments import add_alignments
from agolkit.sandbox.city.apps import add_apps
from agolkit.sandbox.city.builder import Builder
from agolkit.sandbox.city.connections import add_connections
from agolkit.sandbox.city.desktop import add_desktop
from agolkit.sandbox.city.files import add_files
from agolkit.sandbox.city.hosted import add_hosted
from agolkit.sandbox.city.land import add_land
from agolkit.sandbox.city.limits import add_limits
from agolkit.sandbox.city.maps import add_maps
from agolkit.sandbox.city.networks import add_networks
from agolkit.sandbox.city.oddities import add_oddities
from agolkit.sandbox.city.offline import add_offline
from agolkit.sandbox.city.people import add_people
from agolkit.sandbox.city.projects import add_projects
from agolkit.sandbox.city.records import add_records
from agolkit.sandbox.city.references import add_references
from agolkit.sandbox.city.sites import add_sites
from agolkit.sandbox.city.stories import add_stories
from agolkit.sandbox.city.tiles import add_tiles
from agolkit.sandbox.city.views import add_views
from agolkit.sandbox.city.work import add_work
from agolkit.sandbox.organization import Organization


def springfield() -> Organization:
    """A fresh copy of Springfield; every copy is the same to the byte, and yours to change."""
    org = Organization(id="sPr1nGf1eLdC1ty0", name="City of Springfield", url_key="springfield")
    add_people(org)
    city = Builder(org)
    services = (add_networks, add_land, add_hosted, add_records, add_alignments, add_views, add_references, add_tiles)
    documents = (add_maps, add_apps, add_sites, add_stories, add_work, add_offline, add_projects, add_connections)
    files = (add_files, add_desktop)
    for add in (*services, *documents, *files, add_oddities, add_limits):
        add(city)
    return org
