"""The report of benchmarks: its arithmetic, what it says of what is missing, its pictures. All figures are made up."""

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import plots, report
from bench.machine import Machine
from bench.medians import OURS, PEERS, RELAY, Medians, advantage, slope, spread, times, written
from bench.rows import Row
from bench.verdicts import DELIVERIES, P99, SERVER_CPU, Verdict, verdicts

MACHINE = Machine("A CPU", 2, 8, "Linux 1.2", "3.11.0", "22.0.0", {OURS: "0.1.0"}, 0.125, "2026-01-01", "abc")
FAN_OUT = ("fan-out", "100 members, window 32")


def fan_out(target: str, *values: float, case: str = FAN_OUT[1]) -> list[Row]:
    return [Row("fan-out", case, target, DELIVERIES, "1/s", value) for value in values]


def latency(target: str, p99_ms: float, cpu: float, case: str = "200/s to 100 members") -> list[Row]:
    return [
        Row("latency", case, target, "to the others, p50", "ms", p99_ms / 2),
        Row("latency", case, target, P99, "ms", p99_ms),
        Row("latency", case, target, SERVER_CPU, "%", cpu),
    ]


def verdict(rows: list[Row], words: str) -> Verdict:
    [found] = [each for each in verdicts(rows) if words in each.target]
    return found


def line(page: str, begin: str) -> list[str]:
    """The cells of the one line of a table that begins so."""
    [found] = [each for each in page.splitlines() if each.startswith(f"| {begin} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_cell_is_the_median_of_its_rounds_and_the_ratio_is_of_medians() -> None:
    rows = [*fan_out(OURS, 900_000, 300_000, 340_000), *fan_out("hocuspocus", 170_000, 100_000, 400_000)]
    _, ours, theirs = line(report.markdown(rows, MACHINE, []), FAN_OUT[1])
    assert ours == "**340k**<br><sub>300k – 900k</sub>"
    assert theirs == "170k · 2.0x<br><sub>100k – 400k</sub>"


def test_a_ratio_over_one_is_in_our_favour_whichever_way_is_better() -> None:
    assert advantage(300, 100, "1/s") == 3
    assert advantage(10, 30, "ms") == 3
    assert advantage(30, 10, "%") == pytest.approx(1 / 3)
    assert math.isnan(advantage(30, math.nan, "ms"))
    assert math.isnan(advantage(0, 10, "MB"))


def test_what_failed_was_not_run_or_is_not_told_is_said() -> None:
    rows = [
        *fan_out(OURS, 3e6),
        *fan_out("hocuspocus", 1e6, math.nan),
        *fan_out("y-websocket-server", math.nan),
        *fan_out(RELAY, 5e6, case="10 members, window 32"),
        Row(*FAN_OUT, RELAY, "something else", "s", 1),
    ]
    page = report.markdown(rows, MACHINE, [])
    [cells] = [line(page, FAN_OUT[1])]
    assert cells[2:] == [
        "**3M**",
        "1M · 3.0x<br><sub>1 of 2 rounds failed</sub>",
        "failed",
        "not told",
    ]
    assert line(page, "10 members, window 32")[2:] == ["not run", "not run", "not run", "5M"]
    assert "Not run here: pycrdt-websocket." in page


def test_a_round_that_gave_nothing_at_all_is_counted() -> None:
    rows = [*fan_out(OURS, 3e6), *fan_out("hocuspocus", 1e6), Row(*FAN_OUT, "hocuspocus", "failed", "", math.nan)]
    rows.append(Row(*FAN_OUT, "y-websocket-server", "failed", "", math.nan))
    cells = line(report.markdown(rows, MACHINE, []), FAN_OUT[1])
    assert cells[2:] == ["1M · 3.0x<br><sub>1 of 2 rounds failed</sub>", "failed"]


def test_a_case_in_which_everybody_failed_keeps_its_line() -> None:
    page = report.markdown(fan_out(OURS, math.nan), MACHINE, [])
    assert line(page, FAN_OUT[1])[-1] == "failed"


@pytest.mark.parametrize(
    "case,other,theirs,words,is_met",
    [
        ("10 members, window 32", "hocuspocus", 2e6, "1.5x those", None),  # many writers are open
        ("10 members, window 32", "hocuspocus", 2.001e6, "1.5x those", False),
        (FAN_OUT[1], "hocuspocus", 3e6, "ahead of", False),
        (FAN_OUT[1], "y-websocket-server", 0.25e6, "12x", True),
        (FAN_OUT[1], "y-websocket-server", 0.2501e6, "12x", False),
        (FAN_OUT[1], RELAY, 9e6, "in C has at most 3x", None),  # 500 members are open
        (FAN_OUT[1], RELAY, 9.001e6, "in C has at most 3x", False),
        (FAN_OUT[1], "y-websocket-server", math.nan, "12x", None),
    ],
)
def test_a_lead_is_met_from_exactly_its_target_on(
    case: str, other: str, theirs: float, words: str, is_met: bool | None
) -> None:
    assert verdict([*fan_out(OURS, 3e6, case=case), *fan_out(other, theirs, case=case)], words).is_met is is_met


def test_a_bound_itself_is_too_much() -> None:
    case = "20/s to 1,000 members, carets moving"
    assert verdict(latency(OURS, 29.9, 1, case), "1,000 members").is_met is True
    assert verdict(latency(OURS, 30.0, 1, case), "1,000 members").is_met is False
    found = verdict([*latency(OURS, 29.9, 1, case), *latency("hocuspocus", 31, 1, case)], "1,000 members")
    assert found.measured == "29.9 ms; hocuspocus 31 ms"
    assert verdict(latency("hocuspocus", 31, 1, case), "1,000 members").is_met is None


def test_a_peer_that_is_missing_leaves_it_open_and_one_that_is_ahead_decides() -> None:
    ours = latency(OURS, 1, 10)
    peers = [row for peer in PEERS for row in latency(peer, 2, 20)]
    words = "p99 below every peer"
    both = [row._replace(case="50 writers, 2,000/s together") for row in (*ours, *peers)]
    assert verdict([*ours, *peers, *both], words).is_met is True
    assert verdict([*ours, *peers[:-3], *both], words).is_met is None
    assert "pycrdt-websocket not measured" in verdict([*ours, *peers[:-3]], words).measured
    assert verdict([*ours, *latency("hocuspocus", 1, 20)], words).is_met is False


def test_a_slower_disk_is_judged_by_itself() -> None:
    peers = [row for peer in PEERS for row in latency(peer, 2, 20)]
    rows = [*latency(OURS, 1, 10), *latency(f"{OURS}, syncs 5 ms slower", 7, 10), *peers]
    assert verdict(rows, "p99 below every peer at realistic load; syncs 5 ms slower").is_met is False
    assert verdict(rows, "CPU below every peer at realistic load; syncs 5 ms slower").is_met is not False


def test_others_may_take_half_as_long_again_beside_a_stalled_reader() -> None:
    def rows(p99_ms: float) -> list[Row]:
        of = {"nobody stalled": 2.0, "one stalled": p99_ms}
        return [Row("stalled reader", case, OURS, P99, "ms", value) for case, value in of.items()]

    assert verdict(rows(3), "nobody notices").is_met is True
    assert verdict(rows(3.01), "nobody notices").is_met is False
    assert verdict(rows(3)[1:], "nobody notices") == Verdict(
        5, "nobody notices a stalled reader", f"{P99}, one stalled: 3 ms; nobody stalled: not measured", None
    )


def test_nothing_measured_is_nothing_met() -> None:
    assert {each.is_met for each in verdicts([])} == {None}
    assert {each.number for each in verdicts([])} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    "value,unit,words",
    [
        (3_817_000, "1/s", "3.82M"),
        (47_300, "1/s", "47.3k"),
        (999_900, "1/s", "1.00M"),
        (0.84, "ms", "0.840 ms"),
        (84, "us", "84 us"),
        (1_840, "us", "1.84 ms"),
        (0.6, "share", "60 %"),
        (1_234, "MB", "1.23 GB"),
        (0, "%", "0 %"),
        (17.25, "", "17.2"),
    ],
)
def test_figures_are_written_in_units_that_one_can_read(value: float, unit: str, words: str) -> None:
    assert written(value, unit) == words


def test_a_spread_names_its_unit_once() -> None:
    assert spread(0.5, 1.25, "ms") == "0.500 – 1.25 ms"
    assert spread(50, 1_250, "us") == "50 us – 1.25 ms"
    assert [times(each) for each in (0.412, 1.36, 2.14, 41.4)] == ["0.41x", "1.36x", "2.1x", "41x"]


def test_the_slope_is_the_power() -> None:
    assert slope([(x, 3 * x**0.8) for x in (10, 100, 1_000)]) == pytest.approx(0.8)
    assert slope([(10, 5), (1_000, 5)]) == pytest.approx(0)
    assert math.isnan(slope([(10, 5), (10, 7)]))
    assert plots.amount("1,000 members") == 1_000
    assert plots.amount("5 MB of text") == 5_000_000


def test_the_report_is_made_again_from_its_rows(tmp_path: Path) -> None:
    rows = [*fan_out(OURS, 3e6, 3.5e6), *fan_out("hocuspocus", 1e6, math.nan), *latency(OURS, 1.0, 10.0)]
    rows += [Row("growth, members", f"{n} members", OURS, SERVER_CPU, "%", n / 10) for n in (10, 100)]
    report.write(tmp_path, rows, MACHINE, ["One note."])
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    again, machine, notes = report.read(tmp_path)
    assert repr(again) == repr(rows)
    report.write(tmp_path, again, machine, notes)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == made
    assert sorted(made) == ["README.md", "deliveries-window-32.svg", "growth.svg", "latency.svg", "rows.json"]


def test_who_failed_stands_in_the_picture_of_latency() -> None:
    rows = [*latency(OURS, 1, 10), Row("latency", "200/s to 100 members", "hocuspocus", "failed", "", math.nan)]
    picture = ET.fromstring(plots.pictures(rows)["latency.svg"])
    assert "failed" in [each.text for each in picture.iter()]
    assert "hocuspocus failed" in str(picture[1].text)


def test_a_picture_says_everything_in_text() -> None:
    rows = [*fan_out(OURS, 3e6), *fan_out("a & b", 1e6), *fan_out("hocuspocus", math.nan)]
    picture = ET.fromstring(plots.pictures(rows)["deliveries-window-32.svg"])
    words = [each.text or "" for each in picture.iter() if each.tag.endswith("}text")]
    assert {OURS, "3M", "a & b", "1M (3.0x)", "hocuspocus", "failed"} <= set(words)
    title, description = picture[0].text, picture[1].text
    assert title == "Updates delivered a second, window 32"
    assert "a & b 1M" in str(description)
    assert Medians(rows).targets("fan-out") == [OURS, "hocuspocus", "a & b"]
