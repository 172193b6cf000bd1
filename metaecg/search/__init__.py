"""Search: from a few known cases to the others in an archive, with as little reading as possible.

archive = cache.archive(model, library, folder)
scores = search.rank(model, archive, positives)
"""

from metaecg.search.archive import Archive
from metaecg.search.ranking import rank
from metaecg.search.session import Session

__all__ = ["Archive", "Session", "rank"]
