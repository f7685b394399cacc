# Registers a nightly backup with the Windows Task Scheduler. Run it once, as the account that keeps the backups:
#
#   setx AGOLKIT_URL "https://www.arcgis.com"
#   setx AGOLKIT_USERNAME "backup_nightly"
#   setx AGOLKIT_PASSWORD_FILE "C:\agolkit\password.txt"        (a file that only this account can read)
#   powershell -ExecutionPolicy Bypass -File register-task.ps1 -Store D:\Backups\Springfield
#
# The result of the last run in the Task Scheduler is the exit code of agolkit: 0x0 is good, 0x3 means that some item is
# incomplete, 0xB that another run still holds the store. docs/schedule.md has them all.

param(
    [Parameter(Mandatory = $true)][string]$Store,
    [string]$Parameters = (Join-Path $PSScriptRoot "nightly.yaml"),
    [string]$Agolkit = "C:\agolkit\.venv\Scripts\agolkit.exe",
    [string]$At = "02:00",
    [string]$Name = "agolkit nightly backup"
)

$action = New-ScheduledTaskAction -Execute $Agolkit -Argument "backup --store `"$Store`" --parameters `"$Parameters`""
$trigger = New-ScheduledTaskTrigger -Daily -At $At
$settings = New-ScheduledTaskSettingsSet -StartWhenAvailable -MultipleInstances IgnoreNew `
    -ExecutionTimeLimit (New-TimeSpan -Hours 20)
# S4U: runs whether or not the account is signed in to Windows, without storing its Windows password. Such a task has no
# rights on network drives: keep the store on a local disk, or register the task with a password instead.
$principal = New-ScheduledTaskPrincipal -UserId "$env:USERDOMAIN\$env:USERNAME" -LogonType S4U
Register-ScheduledTask -TaskName $Name -Action $action -Trigger $trigger -Settings $settings -Principal $principal
