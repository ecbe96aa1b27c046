"""The recorder, as far as it goes without QEMU: machines, scripts, the guest's files, packing."""

from __future__ import annotations

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.record import experiments, facts, guest, host, machines, pack, record, scripts
from tools.record.host import Kernel
from tools.record.machines import Board, Machine
from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel import Recording, recorded, recordings, replay
from zonelab.kernel.recording import read_log

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = {"numa4": 1, "fake": 11}
"""With which seed the recordings that come with zonelab were made."""
EVERY = pytest.mark.parametrize("name", machines.machines())


def log_of(name: str) -> str:
    return lzma.decompress((recorded(name) / "log.txt.xz").read_bytes()).decode()


# -- machines


def test_the_machines_are_there_and_each_is_what_it_says():
    assert set(machines.machines()) >= {"numa4", "fake", "numa2", "numa3", "fake2"}
    assert [machines.read("numa2").pages(node) for node in (0, 1)] == [192 * 256] * 2
    odd = machines.read("numa3")
    assert len({odd.pages(node) for node in range(3)}) == 3 and odd.fallback(0) == [0, 2, 1]
    split = machines.read("fake2")
    assert (split.nodes, len(split.boards), split.boot_words()) == (2, 1, ["numa=fake=2"])


def test_the_kernel_saw_the_distances_that_the_file_has():
    for name in COMMITTED:
        text = (recordings()[0].parents[1] / name / "boot_numa.txt").read_text()
        machine = machines.read(name)
        seen = re.findall(r"^node(\d+) cpus \S+ distance (.*)$", text, re.M)
        assert len(seen) == machine.nodes
        for node, distances in seen:
            near = machine.boards[0].distances * machine.nodes if machine.fake else machine.boards[int(node)].distances
            assert tuple(map(int, distances.split())) == near
        for node, order in re.findall(r"Fallback order for Node (\d+): ([\d ]+)", text):
            assert machine.fallback(int(node)) == [int(word) for word in order.split()]


@EVERY
def test_qemu_gets_each_cpu_and_each_mib_once(name):
    machine = machines.read(name)
    words = machine.qemu()
    assert words[:4] == ["-m", f"{machine.mib}M", "-smp", str(machine.cpus)]
    text = " ".join(words)
    if len(machine.boards) > 1:
        assert sorted(map(int, re.findall(r"cpus=(\d+)", text))) == list(range(machine.cpus))
        assert sum(map(int, re.findall(r"size=(\d+)M", text))) == machine.mib
        assert len(re.findall("dist,", text)) == machine.nodes * (machine.nodes - 1)
    else:
        assert "numa" not in text


GOOD = 'about = "x"\n' + "".join(
    f"[[node]]\nmib = 128\ncpus = {cpus}\ndistances = {far}\n" for cpus, far in (([0, 2], [10, 20]), ([1, 3], [20, 10]))
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mib = 128", "mib = 64", "node 0 has 64 MiB; expected 128 MiB or more"),
        ("[10, 20]", "[10]", "node 0 has 1 distances; expected 2"),
        ("[10, 20]", "[20, 20]", "10 to itself"),
        ("[0, 2]", "[0, 4]", r"cpus \[0, 1, 3, 4\]; expected each of"),
        ("[1, 3]", "[3, 1]", "cpu 3, the controller's"),
        ("about", "abut", "abut; expected about"),
        ("mib = 128", "mib = true", "mib is True"),
        ('"x"', '"x"\nfake = 2', "fake is 2 with 2 nodes"),
        ("[[node]]", "[node]", "TOML"),
        ("cpus", "cpu", "node 0 has cpu, distances, mib"),
    ],
)
def test_what_is_no_machine_is_refused_with_a_reason(old, new, says):
    assert machines.parse(GOOD, "good").nodes == 2
    with pytest.raises(BadFormat, match=says):
        machines.parse(GOOD.replace(old, new, 1), "bad")


def test_an_unknown_machine_is_refused_with_those_that_there_are():
    with pytest.raises(BadRequest, match=r"numa5.*numa4"):
        machines.read("numa5")


def test_the_readme_lists_every_machine_and_its_example_is_one():
    text = (ROOT / "tools" / "record" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.M)) == machines.machines()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)
    machine = machines.parse(example, "example")
    assert (machine.mib, machine.nodes, machine.cpus) == (384, 2, 4)
    for package in " ".join(host.PROGRAMS.values()).split():
        assert package in text


# -- scripts


@pytest.mark.parametrize("name", COMMITTED)
def test_the_recordings_that_come_with_zonelab_can_be_made_again(name):
    """Every operation, in every experiment, is the one that was recorded."""
    made = {script.name: script for script in experiments.write(machines.read(name), COMMITTED[name])}
    folders = [path.name for path in recordings() if path.parent.name == name]
    assert list(made) == folders
    for folder in folders:
        ran = re.findall(r"^> \d+ (.*)$", log_of(f"{name}/{folder}"), re.M)
        assert made[folder].lines == ran, folder


def words_in_c() -> set[str]:
    text = "".join(path.read_text() for path in guest.SOURCES.glob("*.c"))
    return set(re.findall(r'strcmp\(op, "(\w+)"\)', text)) | {"exit"}


@EVERY
@pytest.mark.parametrize("seed", [1, 2, 3, 12])
def test_scripts_fit_their_machine(name, seed):
    """Workers, regions, cpus and nodes are there when a line needs them; the guest knows the words and has the room."""
    machine, known = machines.read(name), words_in_c()
    for script in experiments.write(machine, seed):
        workers, regions, labels = set[str](), dict[tuple[str, str], int](), list[str]()
        for line in script.lines:
            words = line.split()
            if words[0] in workers and words[0] not in known:
                op, rest = words[1], words[2:]
                if op == "map":
                    regions[words[0], rest[0]] = int(rest[1])
                    assert int(rest[0]) < 32
                elif op in ("write", "read", "unmap"):
                    assert int(rest[1]) + int(rest[2]) <= regions[words[0], rest[0]], line
                elif op in ("writeperm", "fill", "punch", "madvise"):
                    assert (words[0], rest[0]) in regions
                elif op == "cpu":
                    assert int(rest[0]) < machine.cpus
            else:
                op = words[0]
                if op == "spawn":
                    workers.add(words[1])
                    cpu = int(words[2].removeprefix("cpu="))
                    assert cpu < machine.cpus - 1, "the last cpu is the controller's"
                elif op in ("attach", "locate", "numamaps", "migrate"):
                    assert words[1] in workers
                    assert op != "migrate" or max(map(int, words[2:])) < 1 << machine.nodes
                elif op == "snap":
                    labels.append(words[1])
                elif op == "put" and words[1].endswith("mems"):
                    assert int(words[2].split("-")[-1]) < machine.nodes
            assert op in known and len(line) < 255, line
        assert len(labels) >= 2 and len(set(labels)) == len(labels), script.name
        assert len(script.text()) < 64 << 10
        assert script.touches * scripts.BYTES_PER_TOUCH <= scripts.trace_kib([script]) * 1024 + 1023


def test_another_seed_has_other_sizes_and_the_same_seed_the_same():
    machine = machines.read("numa3")
    one, again, other = (
        [script.text() for script in experiments.write(machine, seed, ("e2_containers",))] for seed in (5, 5, 6)
    )
    assert one == again != other


def test_a_part_of_the_experiments_has_the_same_sizes_as_all():
    machine = machines.read("numa2")
    (alone,) = experiments.write(machine, 4, ("e6_exit",))
    assert alone in experiments.write(machine, 4)
    with pytest.raises(BadRequest, match="needs 3 nodes, not 2"):
        experiments.write(machine, 4, ("e3b_prefer_far",))
    with pytest.raises(BadRequest, match="there is none"):
        experiments.write(machine, 4, ("e7",))


def test_touches_counts_pages_again_and_again():
    lines = ["A map 1 50 anon private", "A write 1 0 20", "A read 1 5 10", "A writeperm 1 77", "A fill 1 1 9", "snap s"]
    assert scripts.Script("x", lines).touches == 20 + 10 + 50 + 50


# -- what the guest leaves, as a recording


def raw(folder: Path, name: str) -> Path:
    """What a guest would have left for one that comes with zonelab: its log, and a trace with only its snapshots' markers."""
    log = log_of(name)
    marks = [
        f"SNAP {snapshot.label} {snapshot.attempt} {what}"
        for snapshot in read_log(log.encode(), name)
        for what in ("begin", "end")
    ]
    lines = [f"# entries-in-buffer/entries-written: {len(marks)}/{len(marks)}   #P:4", "#"]
    lines += [f"   lab-17   [003] .....   {n + 3}.000250: tracing_mark_write: {mark}" for n, mark in enumerate(marks)]
    folder.mkdir()
    (folder / "trace.txt").write_text("\n".join([*lines, ""]))
    (folder / "log.txt").write_text(log)
    (folder / "dmesg.txt").write_text("[ 1.0] Hypervisor detected\n[ 2.0] Out of memory: Killed process 7\n")
    ring = "entries: 2 overrun: 0 commit overrun: 0 bytes: 64 dropped events: 0 read events: 0"
    (folder / "rings.txt").write_text(f"cpu0 {ring}\ncpu3 {ring}\n")
    return folder


def test_what_the_guest_left_becomes_a_recording_that_can_be_read(tmp_path):
    result = raw(tmp_path / "e5z_zeropage", "numa4/e5z_zeropage")
    assert pack.pack(result, tmp_path / "out") == []
    recording = Recording(tmp_path / "out")
    assert [snapshot.label for snapshot in recording.snapshots] == ["before", "read", "written"]
    events = recording.events
    assert events.header.entries == events.header.written == len(events) == 6
    assert events.header.t0_us == 3_000_250 and events.header.pids == {17: "lab"}
    assert events.header.counts == {"tracing_mark_write": 6}
    messages = lzma.decompress((tmp_path / "out" / "dmesg.txt.xz").read_bytes()).decode()
    assert messages == "[ 2.0] Out of memory: Killed process 7\n"
    assert len(list(replay(recording))) == 2


def test_lost_events_and_failed_operations_are_told(tmp_path):
    result = raw(tmp_path / "e5z_zeropage", "numa4/e5z_zeropage")
    rings, log = result / "rings.txt", result / "log.txt"
    rings.write_text(rings.read_text().replace("dropped events: 0", "dropped events: 12", 1))
    log.write_text(log.read_text().replace("< rc 0\n", "< rc -16\n", 1))
    lost, failed = pack.pack(result, tmp_path / "out")
    assert lost == "e5z_zeropage: cpu0: dropped events 12"
    recording = Recording(tmp_path / "out")
    assert recording.events.header.lost == 12
    assert any("lost 12 events" in str(stretch) for stretch in replay(recording))
    assert failed == "e5z_zeropage: mkdir /cs/A: rc -16"


def test_a_trace_without_its_head_is_refused(tmp_path):
    result = raw(tmp_path / "e5z_zeropage", "numa4/e5z_zeropage")
    (result / "trace.txt").write_text("")
    with pytest.raises(BadFormat, match="how many events were written"):
        pack.pack(result, tmp_path / "out")


@pytest.mark.parametrize("name", ["numa4/e3c_cpuset_oom", "numa4/e4_migrate", "fake/e2_containers"])
def test_facts_are_those_that_come_with_the_recording(name):
    path = recorded(name)
    with lzma.open(path.parent / "facts.json.xz", "rt") as file:
        assert facts.facts(log_of(name), path.name) == json.load(file)[path.name]


# -- the host


def kernel_in(folder: Path, config: str = "") -> Kernel:
    """A kernel made of bytes: four modules, two of them packed, that depend on each other."""
    modules = folder / "lib" / "modules" / "6.1.0-9" / "kernel"
    modules.mkdir(parents=True)
    (folder / "boot").mkdir()
    (folder / "boot" / "vmlinuz-6.1.0-9").write_bytes(b"kernel")
    (folder / "boot" / "config-6.1.0-9").write_text(config)
    for name, needs in (("virtio", "virtio_ring"), ("virtio-ring", ""), ("9p", "9pnet"), ("9pnet", "")):
        (modules / f"{name}.ko").write_bytes(b"\x7fELF\0depends=" + needs.encode() + b"\0name=x\0")
    content = lzma.compress(b"\x7fELF\0depends=virtio,virtio_ring\0")
    (modules / "virtio_blk.ko.xz").write_bytes(content)
    return host.kernel(folder, folder)


def test_modules_come_after_those_that_they_need(tmp_path):
    names = [name for name, _ in guest.modules(kernel_in(tmp_path))]
    assert names == ["virtio_ring", "virtio", "virtio_blk", "9pnet", "9p"]


def test_a_kernel_without_what_is_recorded_is_refused(tmp_path):
    every = "".join(f"CONFIG_{name}=y\n" for name in host.CONFIG)
    kernel = kernel_in(tmp_path, every.replace("CONFIG_CPUSETS=y", "# CONFIG_CPUSETS is not set"))
    assert host.lacks(kernel, fake=False) == ["CONFIG_CPUSETS"]
    assert host.lacks(kernel, fake=True) == ["CONFIG_CPUSETS", "CONFIG_NUMA_EMU"]
    with pytest.raises(BadRequest, match="no such file"):
        host.kernel(tmp_path / "linux.deb", tmp_path)
    with pytest.raises(BadRequest, match="has no kernel"):
        host.kernel(tmp_path / "boot", tmp_path)


def test_what_the_host_lacks_is_told_with_its_package(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(host, "find", lambda program: None)
    assert record.main(["numa4", "--out", str(tmp_path / "out"), "--work", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    for program, package in host.PROGRAMS.items():
        assert f"{program} is missing: apt-get install {package}" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert record.main(["numa4", "--out", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_guest_shares_scripts_and_settings(tmp_path):
    machine = Machine("m", "", (Board(256, (1, 0), (10, 20)), Board(256, (2, 3), (20, 10))))
    made = experiments.write(machine, 1, ("e3g_memcg_swap", "e1d_huge"))
    guest.share(tmp_path, machine, made)
    assert sorted(path.name for path in (tmp_path / "scripts").iterdir()) == ["e1d_huge", "e3g_memcg_swap"]
    assert "mkswap" in (tmp_path / "before" / "e3g_memcg_swap").read_text()
    assert (tmp_path / "settings").read_text() == 'TRACE_KIB=12288\nTRACE_CPUS="1 2"\n'


def test_help_and_list_need_nothing():
    """Called as the README says, from another folder."""
    tool = str(ROOT / "tools" / "record" / "record.py")
    said = subprocess.run([sys.executable, tool, "--help"], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    for word in ("--seed", "--out", "--kernel", "--only", *machines.machines()):
        assert word in said.stdout
    said = subprocess.run(
        [sys.executable, tool, "fake2", "--seed", "4", "--only", "e5z_zeropage", "--list"],
        capture_output=True, text=True, check=True, cwd=ROOT.parent,
    )  # fmt: skip
    assert said.stdout.startswith("# e5z_zeropage\nmkdir /cs/A\nput /cs/A/cpuset.cpus 0-3\n")
