"""Who looked at whose record, when and why: a trail of one line for each verb, which nobody can edit unseen.

The path of the data: a verb of a collection begins a :class:`~bedside.audit.verbs.Line`, which takes the actor from
:func:`acting_as`; the line goes to the end of the :class:`~bedside.audit.trail.Trail` before anything is answered or
changed. Each line carries an HMAC over itself and the line before it. It names scopes, ids and questions by their HMACs
alone, so that whoever reads the trail without its key learns who did how much when, and of no patient.
"""

from __future__ import annotations

from bedside.audit.log import AuditLog, AuditReport
from bedside.support.acting import Acting, acting, acting_as

__all__ = ["Acting", "AuditLog", "AuditReport", "acting", "acting_as"]
