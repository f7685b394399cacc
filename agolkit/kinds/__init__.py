"""One module for each family of item types: how an item of that kind is saved, and how that is checked."""
