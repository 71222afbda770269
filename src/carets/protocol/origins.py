"""What was typed behind what in one document: enough to see whether two units can ever have been neighbours.

Owns: the tree of left origins, a node for each run of one client that was typed one unit behind the other.
Does not know: updates, right origins, what is deleted, the order of the list.

Invariants:
  1. Node 0 is the beginning of the text. A node's parent comes before it; what is cut back came last.
  2. A unit's ancestors are what it was typed behind, and what that was typed behind, up to the beginning.
  3. A question takes time logarithmic in the number of nodes, or in the depth of the tree, whichever is less.

Source: docs/decisions/0019-neighbours.md; E. Myers, "An applicative random-access stack" (the jumps).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

_NOWHERE = -1


class Origins:
    """The tree. Each node knows its parent, the unit of it that it hangs on, its depth and one far ancestor."""

    __slots__ = ("_at", "_clients", "_depths", "_jumps", "_parents", "_runs")

    def __init__(self) -> None:
        self._parents = array("I", (0,))
        self._at = array("I", (0,))
        self._depths = array("I", (0,))
        self._jumps = array("I", (0,))
        self._clients = array("Q", (0,))
        self._runs: dict[int, tuple[array[int], array[int]]] = {}
        """By client: the first clocks of its runs, ascending, and their nodes."""

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self._parents)

    def hang(self, client: int, clock: int, origin: tuple[int, int] | None) -> None:
        """Begin a run at this unit behind `origin`, which is here; None for the beginning of the text."""
        parent = 0 if origin is None else self._node(*origin)
        depths, jumps = self._depths, self._jumps
        far = jumps[parent]
        is_even = depths[parent] - depths[far] == depths[far] - depths[jumps[far]]
        node = len(self._parents)
        self._parents.append(parent)
        self._at.append(0 if origin is None else origin[1])
        depths.append(depths[parent] + 1)
        jumps.append(jumps[far] if is_even else parent)
        self._clients.append(client)
        runs = self._runs.get(client)
        if runs is None:
            runs = self._runs[client] = (array("I"), array("I"))
        runs[0].append(clock)
        runs[1].append(node)

    def cut_back(self, count: int) -> None:
        """Forget all but the first `count` nodes."""
        for client in reversed(self._clients[count:]):
            starts, nodes = self._runs[client]
            starts.pop()
            nodes.pop()
            if not starts:
                del self._runs[client]
        for column in (self._parents, self._at, self._depths, self._jumps, self._clients):
            del column[count:]

    def may_meet(self, left: tuple[int, int] | None, right: tuple[int, int]) -> bool:
        """Whether `left` can stand right before `right` in some honest client's list; both are here.

        Lines from units to their origins do not cross. So what `right` was typed behind is `left` or an ancestor of
        `left`, and `right` is neither.
        """
        client, clock = right
        starts, nodes = self._runs[client]
        at = bisect_right(starts, clock) - 1
        node = nodes[at]
        if clock > starts[at]:
            return self._leaves(left, node) == clock - 1
        parent = self._parents[node]
        return self._leaves(left, parent) >= self._at[node] and self._leaves(left, node) == _NOWHERE

    def _node(self, client: int, clock: int) -> int:
        starts, nodes = self._runs[client]
        return nodes[bisect_right(starts, clock) - 1]

    def _leaves(self, unit: tuple[int, int] | None, node: int) -> int:
        """The clock of the last of the node's units that is `unit` or its ancestor; `_NOWHERE` where none is."""
        if unit is None:
            return 0 if node == 0 else _NOWHERE
        below = self._node(*unit)
        if below == node:
            return unit[1]
        depths, jumps, parents = self._depths, self._jumps, self._parents
        depth = depths[node] + 1
        while depths[below] > depth:
            far = jumps[below]
            below = far if depths[far] >= depth else parents[below]
        return self._at[below] if parents[below] == node else _NOWHERE
