"""What the benchmarks make of a figure: kept, missed, failed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.rows")


@pytest.fixture
def report(rows: Any) -> Any:
    return importlib.import_module("benchmarks.report")


def test_a_count_over_its_bar_is_missed_and_fails_a_quick_run(rows):
    row = rows.count("calls", 3, 2)

    assert row.missed
    assert row.fails
    assert "missed" in row.cells


def test_a_figure_at_its_bar_is_kept(rows):
    row = rows.count("calls", 2, 2)

    assert not row.missed
    assert not row.fails
    assert "kept" in row.cells


def test_a_noisy_ratio_is_missed_at_the_designs_bar_and_fails_at_the_ci_bar_only(rows):
    near = rows.Row("cpu", rows.NOTHING, judged=1.04, kind="ratio", bar=1.03, ci_bar=1.1)
    far = rows.Row("cpu", rows.NOTHING, judged=1.2, kind="ratio", bar=1.03, ci_bar=1.1)

    assert (near.missed, near.fails) == (True, False)
    assert (far.missed, far.fails) == (True, True)


def test_a_time_is_shown_as_missed_and_fails_nothing(rows):
    row = rows.Row("import", rows.NOTHING, judged=20.0, kind="ms", bar=15)

    assert row.missed
    assert not row.fails


def test_a_time_can_have_no_ci_bar(rows):
    with pytest.raises(ValueError, match="depends on the machine"):
        rows.Row("import", rows.NOTHING, judged=20.0, kind="ms", bar=15, ci_bar=30)


def test_a_ratio_is_taken_round_by_round(rows):
    # The second round ran on a machine three times as busy.
    assert rows.over([1.1, 3.3, 1.1], [1.0, 3.0, 1.0]) == pytest.approx(1.1)


def test_the_markdown_names_what_was_missed_and_marks_it(rows, report):
    section = report.Section("Calls", [rows.count("cold", 4, 3), rows.count("warm", 0, 0, peer=1)])

    text = report.markdown([section])

    assert "1 of 2 bars kept; missed: cold, 4 (≤ 3)." in text
    assert "| cold | – | – | 4 | 4 | ≤ 3 | **missed** | ≤ 3 |" in text
    assert "| warm | – | 1 | 0 | 0 | ≤ 0 | kept | ≤ 0 |" in text


@pytest.mark.parametrize(
    ("arguments", "said"), [(["nothing"], "no section nothing"), (["--quick", "--write"], "not with --quick")]
)
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments, said, rows, monkeypatch, capsys):
    main = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])

    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_figure_over_its_ci_bar_gives_exit_code_1(rows, monkeypatch, capsys):
    main = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr(main, "clean_environment", lambda: None)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "scale"])
    measured = [rows.count("cold", 4, 3)]
    monkeypatch.setattr("benchmarks.scale.rows", lambda effort: iter(measured), raising=True)

    assert main.main() == 1
    assert "over its CI bar: cold" in capsys.readouterr().err

    measured[:] = [rows.count("cold", 3, 3)]
    assert main.main() == 0
