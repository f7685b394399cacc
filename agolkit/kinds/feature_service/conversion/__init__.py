"""The saved layers of an item as tables: as a data frame, a File Geodatabase, a GeoPackage or GeoParquet."""
