"""Search: from a few known cases to the others in an archive, with as little reading as possible.

embeddings, basis = cache.embeddings(model, library, folder)
archive = Archive.of(embeddings, basis)
scores = search.rank(model, archive, positives)
"""

from metaecg.search.archive import Archive
from metaecg.search.ranking import rank
from metaecg.search.session import Session

__all__ = ["Archive", "Session", "rank"]
