"""Unit 09, orphaned zones: what happens to a zone when its container is gone?"""

from __future__ import annotations

from zonelab.story.ask import Ask

RECALL = (
    Ask(
        "A container exits. Which of its pages are free at once?",
        "its private memory",
        ("its private memory", "all that it is charged for", "none, until its zone is merged"),
        feedback={
            "all that it is charged for": "Pages of files may be in use by others, and stay in the page cache anyway.",
            "none, until its zone is merged": "They are free, in the orphaned zone; only no zonelist leads there yet.",
        },
        why="Heap and stack go with the tasks. What others can find by a name, files and tmpfs, lives on.",
    ),
    Ask(
        "An orphaned zone is merged into the main zone. How many pairs of free blocks have to be joined across the old border, at least?",
        0,
        kind="number",
        feedback={
            "1": "One border, but no buddies on either side of it: it lies between two blocks of the largest order."
        },
        otherwise="Where does a zone border lie, seen from the buddies?",
        why="None: zones begin and end with blocks of the largest order, and a buddy never lies outside of one's own block.",
    ),
    Ask(
        "A container is gone, and pages of a file that it had read live on. Who pays for them in our machine?",
        "root, the parent",
        ("root, the parent", "nobody", "whoever reads the file next"),
        feedback={
            "nobody": "Then the bill would no longer add up to the pages in use. Somebody has to be charged.",
            "whoever reads the file next": "Being found in the page cache costs nothing: only who has a page allocated is charged.",
        },
        why="The account is closed, and its pages are charged to the parent: they are reparented.",
    ),
)
