"""Media bytes packed into shards: tar files as webdataset knows them, or Parquet, on a disk or behind any fsspec URL.

Items, labels and policies stay where they are. A packed photo or clip has a name as its file had (data.shards.names),
and every reader of media opens it by that name; only the bytes come from elsewhere.
"""
