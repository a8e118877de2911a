"""Processes that write to a trail: ``python -m audit.writers FOLDER NAME COUNT [LIMIT]``."""

from __future__ import annotations

import resource
import sys
import threading

from bedside import Collection
from bedside.audit import AuditLog, acting_as

KEY = bytes(range(32))
THREADS = 4


def main(folder: str, name: str, count: int, limit: int = 0) -> None:
    """Search ``count`` times from each of four threads; print a line for each answer that was given.

    Args:
        folder: The trail's.
        name: The actor's, followed by the thread's number.
        count: Searches of each thread; 0: without end.
        limit: Bytes that a file may grow to, as on a full disk; 0: any.
    """
    notes = Collection.open(audit=AuditLog(folder, key=KEY, max_bytes=20_000))
    with acting_as(name):
        notes.add(["Chest pain."])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def search(number: int) -> None:
        with acting_as(f"{name}.{number}"):
            done = 0
            while not count or done < count:
                notes.search(f"pain {number} {done}", mode="sparse")
                done += 1
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()

    threads = [threading.Thread(target=search, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
