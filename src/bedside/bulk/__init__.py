"""Loading many documents by many workers into a collection on a server: :func:`bulk_load`."""

from bedside.bulk.load import bulk_load
from bedside.bulk.report import BulkReport, Failed, Refused

__all__ = ["BulkReport", "Failed", "Refused", "bulk_load"]
