"""Values of options that mean nothing are wrong usage, exit status 2, whatever stands at the other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from freqcache.benchmarking.options import BenchOptions
from freqcache.errors import StoreError
from freqcache.exporting.single import ENDINGS
from freqcache.plotting.style import SUFFIXES
from freqcache_cli.main import main
from freqcache_cli.usage import IMAGES, PICTURES

WRONG = """
bench gone --seconds nan | is no finite number
bench gone --seconds inf | is no finite number
bench gone --seconds -1 | --seconds
bench gone --seconds 0 | --seconds
bench gone --channels 25 | no preset of that name
bench gone --batch-size 0 | --batch-size
build gone out --size 63 | size: expected a multiple of 8
build gone out --size 0 | size: expected a multiple of 8
build gone out --size 8192 | size: expected a multiple of 8
build gone out --exact | exact: only a fixed cache
build gone out --max-size 4 | max_size: expected at least 8
build gone out --seed 18446744073709551616 | --seed
decode gone 0 out.xyz | expected a name that ends in
decode gone 0 out | expected a name that ends in
decode gone 0 out.png --channels 25 | no preset of that name
demo -k 0 | -k
demo --seed 9223372036854775808 | --seed
eval gone --batch-size 0 | --batch-size
export gone out --channels 25 | no preset of that name
export gone out --samples 9-3 | ends before it begins
export gone out --samples @gone | cannot be read
export-model gone out.onnx | expected a name that ends in .pt2 or .ts
export-model gone out.ts --form export | expected a name that ends in .pt2
hot gone --channels 25 | no preset of that name
merge gone gone out --seed 18446744073709551616 | --seed
merge gone out | at least two caches
plan gone --size 63 | size: expected a multiple of 8
plan gone --exact | exact: only a fixed cache
plan gone --max-size 4 | max_size: expected at least 8
plot statistics gone -o out.gif | expected a name that ends in .png, .svg or .pdf
plot tiles gone 0 -o out | expected a name that ends in
plot reconstruction gone 0 -o out.png --channels 6,25 | no preset of that name
plot heatmap gone -o out.png --mask 25 | no preset of that name
plot curves gone -o out.gif | expected a name that ends in
plot sweep gone -o out.gif | expected a name that ends in
predict gone gone -k 0 | -k
repack gone out --channels 25 | no preset of that name
repack gone out --shuffle --seed -1 | --seed
select gone -k 0 | -k
select gone -k 193 | -k
select gone --threshold nan | is no finite number
select gone --heatmap out.gif | expected a name that ends in
select gone --budget 0 | is not a number of bytes
subset gone out --samples gone | cannot be read
subset gone out --classes-file gone | cannot be read
subset gone out --limit-per-class 0 | --limit-per-class
subset gone out --split a --seed 18446744073709551616 | --seed
sweep gone --lam nan | lam must
sweep gone --lam 0.1 --seeds -1 | seed must
sweep gone --lam 0.1 --plot out.gif | expected a name that ends in
sweep gone --lam 0.1 -k 0 | k
sweep gone --lam 0.1 --epochs 0 | epochs must
train gone --recipe gone | no such recipe
train gone --channels 25 | no preset of that name
train gone --gate dynamic --epochs 0 | epochs must be at least 1
train gone --gate none --lr nan | lr must be positive
train gone --gate none --size 63 | size must be a multiple of 8
train gone --gate none --arch vgg | arch
train gone --gate dynamic -k 0 | -k
verify gone --sample 1 | only together with --source
verify gone --source gone --sample 0 | --sample
"""


@pytest.mark.parametrize("line", WRONG.strip().splitlines())
def test_wrong_values(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words, _, message = line.partition(" | ")
    assert main(words.split()) == 2, capsys.readouterr().err
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not any(tmp_path.iterdir())


def test_endings_are_the_librarys() -> None:
    assert PICTURES == SUFFIXES
    assert tuple(ENDINGS) == IMAGES


@pytest.mark.parametrize("values", [{"seconds": float("nan")}, {"seconds": 0.0}, {"threads": 0}, {"repeats": 0}])
def test_the_library_looks_too(values: dict[str, float]) -> None:
    with pytest.raises(StoreError, match="expected"):
        BenchOptions(**values)  # type: ignore[arg-type]
