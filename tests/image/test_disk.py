"""The partition table."""

import subprocess
from pathlib import Path

from executor.image import disk


def test_another_program_reads_the_table_as_meant(tmp_path: Path) -> None:
    """partx finds two Linux partitions at the planned sectors, and nothing else."""
    plan = disk.layout(5 * 1024 * 1024 + 1, 16)
    image = tmp_path / "disk"
    with image.open("wb") as out:
        out.write(disk.partition_table(plan))
        out.truncate(plan.total)
    argv = ["partx", "--noheadings", "--raw", "--output", "NR,START,SECTORS,TYPE", str(image)]
    shown = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    )
    assert shown.stdout.splitlines() == ["1 2048 12288 0x83", "2 14336 32768 0x83"]
    assert plan.total == 14336 * 512 + 16 * 1024 * 1024
