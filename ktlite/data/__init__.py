"""Where examples come from: files, tables, folders and arrays, read into data sets."""
