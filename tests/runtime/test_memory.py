"""Free memory, and errors about it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import torch

from florence_blocks.runtime import memory

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with 23 GiB to be had, of which files in memory take nearly all; the folder is that of its control groups."""

    class Told:
        available = 23 * GIB
        free = 192 * 2**20

    monkeypatch.setattr(psutil, "virtual_memory", Told)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    return tmp_path


def test_files_that_the_system_keeps_in_memory_count_as_free(machine: Path) -> None:
    assert memory.room(CPU) == 23 * GIB


def test_a_container_has_what_it_is_granted(machine: Path) -> None:
    (machine / "memory.max").write_text(f"{4 * GIB}\n")
    (machine / "memory.current").write_text(f"{3 * GIB}\n")
    (machine / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 2}\n")
    assert memory.room(CPU) == GIB + GIB // 2
    (machine / "memory.max").write_text("max\n")
    assert memory.room(CPU) == 23 * GIB


def test_a_container_of_the_first_version_has_what_it_is_granted(machine: Path) -> None:
    folder = machine / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{2 * GIB}\n")
    (folder / "memory.stat").write_text("cache 3\ntotal_inactive_file 1000\n")
    assert memory.room(CPU) == 1000
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.room(CPU) == 23 * GIB


def test_the_room_of_this_machine_is_no_more_than_it_has() -> None:
    assert 0 < memory.room(CPU) <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("MPS backend out of memory"),
        OSError(12, os.strerror(12)),
    ],
    ids=str,
)
def test_errors_about_memory_are_known(error: BaseException) -> None:
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory"), KeyboardInterrupt()], ids=repr)
def test_other_errors_are_not_about_memory(error: BaseException) -> None:
    assert not memory.is_out_of_memory(error)


def test_too_large_an_allocation_on_this_machine_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.is_out_of_memory(raised.value)
