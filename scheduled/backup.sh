#!/bin/sh
# One scheduled backup, for cron (Linux, macOS). Usage: backup.sh STORE PARAMETERS.yaml
#
# In the crontab of the account that keeps the backups (`crontab -e`):
#
#   MAILTO=gis-team@example.org
#   0 2 * * *  /opt/agolkit/scheduled/backup.sh /srv/backups/springfield /opt/agolkit/scheduled/nightly.yaml
#
# cron sends a mail when something is printed: this prints only when the backup did not end with 0.
# AGOLKIT_MAIL_TO, AGOLKIT_WEBHOOK_URL and AGOLKIT_PING_URL in the environment file tell people by other ways.
# 3 means finished, but some item is incomplete; 11 that another run still holds the store. docs/schedule.md has them all.

AGOLKIT=${AGOLKIT:-/opt/agolkit/.venv/bin/agolkit}
ENVIRONMENT=${AGOLKIT_ENVIRONMENT:-$HOME/.config/agolkit.env}

set -a
. "$ENVIRONMENT"
set +a

said=$("$AGOLKIT" backup --store "$1" --parameters "$2" 2>&1)
code=$?
[ $code -eq 0 ] || printf '%s\n\nagolkit backup ended with %s.\n' "$said" "$code"
exit $code
