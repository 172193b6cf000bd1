"""Examples and queries as they are listed: what is not there is named with its flag or its line."""

import numpy as np
import pytest

from metaecg.diagnose import support
from metaecg.errors import MetaecgError


@pytest.fixture
def recordings(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((10, 2)))
    (tmp_path / "w.hea").write_text("w 1 100 10\n")
    return tmp_path


def test_a_line_that_names_no_file_is_named(recordings):
    listed = recordings / "support.csv"
    listed.write_text("path,label\na.npy,AF\n\nw,SR\n")  # of WFDB, the record without an ending
    assert support.list_support(listed) == [(recordings / "a.npy", "AF"), (recordings / "w", "SR")]
    listed.write_text("path,label\na.npy,AF\nmine/b,SR\n")
    with pytest.raises(MetaecgError, match=r"support\.csv: line 3: .*mine/b: no such file; a path"):
        support.list_support(listed)


def test_queries_none_of_which_is_there_are_named_with_their_flag(recordings):
    gone, there, record = (str(recordings / name) for name in ("gone.hea", "a.npy", "w"))
    with pytest.raises(MetaecgError, match=rf"^--query={gone}: no such file; give a recording or"):
        support.list_queries([gone])
    for others in ([there], [record]):
        assert list(map(str, support.list_queries([gone, *others]))) == [gone, *others]
