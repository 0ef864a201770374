"""How many members an audience has: counted little by little, while rows go on changing."""

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.change import ADD, DELETE, Cause, Change
from cdp_stream.core.model.row import Row
from cdp_stream.formats.rows import encode_row, members_of
from cdp_stream.partition.audience_sizes import AudienceSizes

AUDIENCES = ("buyers", "idle")
MPIDS = range(-3, 6)
MEMBERSHIP = st.tuples(st.sampled_from(MPIDS), st.sampled_from([*AUDIENCES, "a-draft"]))


class Rows:
    """A partition's rows, and the sizes that follow their changes."""

    def __init__(self, memberships):
        self.members = {}
        self.rows = {}
        for mpid, audience in memberships:
            self.members.setdefault(mpid, {})[audience] = 1
        for mpid in self.members:
            self.write(mpid)
        self.sizes = AudienceSizes((), members_of)
        self.sizes.begin(AUDIENCES, self.members)

    def write(self, mpid):
        row = Row(mpid)
        row.members = self.members[mpid]
        self.rows[b"%d" % mpid] = encode_row(row)

    def flip(self, mpid, audience):
        members = self.members.setdefault(mpid, {})
        action = DELETE if members.pop(audience, None) else ADD
        if action == ADD:
            members[audience] = 1
        if members:
            self.write(mpid)
        else:
            self.rows.pop(b"%d" % mpid, None)  # forgotten
        if audience in AUDIENCES:
            cause = Cause("time", None, None, None)
            self.sizes.change(
                [Change(action, audience, audience, mpid, 1, 0, None, cause, "digest", ())]
            )

    def recount(self):
        return {
            audience: sum(audience in members for members in self.members.values())
            for audience in AUDIENCES
        }


@given(
    before=st.lists(MEMBERSHIP),
    steps=st.lists(st.tuples(st.integers(0, 3), st.none() | MEMBERSHIP), max_size=20),
)
def test_whatever_changes_while_rows_are_counted_the_sizes_are_those_of_a_recount(before, steps):
    held = Rows(before)
    for limit, flipped in steps:
        told = held.sizes.count(held.rows, limit)
        assert told is None or told == held.recount()
        if flipped is not None:
            held.flip(*flipped)
    assert held.sizes.count(held.rows, len(MPIDS)) == held.recount()


def test_until_all_rows_are_counted_there_is_no_answer():
    held = Rows([(1, "buyers"), (2, "buyers"), (3, "idle")])
    assert held.sizes.count(held.rows, 2) is None
    assert held.sizes.count(held.rows, 2) == {"buyers": 2, "idle": 1}


def test_an_audience_without_members_has_none():
    assert AudienceSizes(AUDIENCES, members_of).count({}, 10) == {"buyers": 0, "idle": 0}
