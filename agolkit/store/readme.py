"""The text that stands in every store for whoever finds it."""

README = """\
BACKUPS OF AN ARCGIS ORGANIZATION

Everything here can be read without the program that wrote it (agolkit).

store.json    whose backups these are, and the version of the format
backups/      one folder for each backup, named by its date and time (UTC)
blobs/        every saved file once; its name is the SHA-256 of its content
zips/         if there are any: backups as one ordinary zip each, to download; zips.json lists them

In the folder of a backup:

AllItems.csv        every item, one row each; opens in a spreadsheet. The last column says how far it was saved,
                    the column "path" where it is.
backup.json         written last. If it is missing, or says "unfinished", the run was killed; the journal folder shows
                    how far it came.
organization.json   users, roles, groups and their members, folders, settings: what the portal is beside its items
manifest.jsonl.gz   the complete list for programs: a JSON line for each item, with every saved file and its hash
SHA256SUMS          the hash of each file of the item folders. Hash "3fa9..." means the file blobs/3f/3fa9...
Web Map/, ...       the saved items, a folder for each item type. If there are none, find a file by its hash in
                    SHA256SUMS and copy it from blobs/ under the name it has there.

To check a backup, in its folder (Linux, macOS with coreutils, Git Bash on Windows):

    sha256sum --quiet -c SHA256SUMS         the item folders
    gunzip -c manifest.jsonl.gz | less      the complete list

The saved files are read-only: the folders of several backups share them, and blobs/ too. To change a file, copy it
somewhere else first. Do not delete anything from blobs/: every backup may need it.

These files hold the organization's data and personal data of its members, and are not encrypted by agolkit.
The format is described in docs/format.md of agolkit.
"""
