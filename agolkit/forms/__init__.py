"""The forms of the notebooks: the only room that knows ipywidgets."""

from agolkit.forms.backup_form import BackupForm

__all__ = ["BackupForm"]
