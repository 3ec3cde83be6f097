#!/usr/bin/env python3
"""Tests of the fuzzer that need no machine."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import compare                                      # noqa: E402
from fuzz import Campaign                           # noqa: E402
from fuzz_facts import MACHINES                     # noqa: E402
from generate import generate                       # noqa: E402
from shrink import shrink                           # noqa: E402
from trace_names import Scope, parse                # noqa: E402


def answered(trace, answer):
    """The trace with a result for each operation."""
    lines = []
    for line in trace.splitlines():
        operation = compare.split(line).operation
        lines.append(f"{operation} -> {answer(operation)}" if operation else line)
    return "\n".join(lines) + "\n"


def kernel(operation):
    return "fd" if parse(operation).makes else "0"


class Side:
    """Answers like a kernel, but once a mapping was unmapped it refuses the next one."""

    def __init__(self):
        self.unmapped = False

    def __call__(self, operation):
        name = compare.command(operation)
        if name == "VFIO_IOMMU_UNMAP_DMA":
            self.unmapped = True
        if name == "VFIO_IOMMU_MAP_DMA" and self.unmapped:
            return "ENOSPC"
        return kernel(operation)


class FakeSides:
    rounds, machine = 0, pathlib.Path("referee")
    labels = ("kernel", "vfiolab")

    def name(self):
        return "Linux"

    def play(self, traces):
        self.rounds += 1
        return ({name: answered(text, kernel) for name, text in traces.items()},
                {name: answered(text, Side()) for name, text in traces.items()})


class GeneratorTest(unittest.TestCase):
    def test_a_seed_gives_the_same_trace_every_time(self):
        self.assertEqual(generate(7, 60), generate(7, 60))
        self.assertNotEqual(generate(7, 60), generate(8, 60))

    def test_traces_are_as_long_as_asked(self):
        for seed in range(50):
            count = len(compare.operations(generate(seed, 60)))
            self.assertGreaterEqual(count, 60)
            self.assertLess(count, 120)

    def test_traces_use_only_names_that_exist(self):
        for machine in MACHINES:
            for seed in range(100):
                scope = Scope()
                for line in compare.operations(generate(seed, 60, machine)):
                    operation = parse(line.operation)
                    self.assertEqual(scope.missing(operation), set(), f"{machine} {seed}: {line.operation}")
                    scope.follow(operation)

    def test_a_device_that_loses_its_driver_gets_it_back(self):
        unbound = 0
        for machine in MACHINES:
            for seed in range(100):
                without, overrides = set(), {}
                for line in compare.operations(generate(seed, 60, machine)):
                    words = parse(line.operation).words
                    if "vfio-pci/unbind" in line.operation and words[1] != "0000:00:1e.7":
                        without.add(words[1])
                        unbound += 1
                    elif len(words) > 1 and words[0].endswith(("vfio-pci/bind", "drivers_probe")):
                        if overrides.get(words[1], "vfio-pci") == "vfio-pci":
                            without.discard(words[1])
                    elif words and words[0].endswith("driver_override") and len(words) > 1:
                        overrides["{" + words[0].split("{")[1].split("}")[0] + "}"] = words[1]
                self.assertEqual((without, set(overrides.values()) - {"vfio-pci"}), (set(), set()),
                                 f"{machine} {seed}")
        self.assertGreater(unbound, 20)

    def test_every_operation_is_generated(self):
        verbs = {parse(line.operation).verb for seed in range(200)
                 for line in compare.operations(generate(seed, 60))}
        expected = set("""open close dup ioctl pread pwrite read write eventfd take signal map mmap
            unmap protect load store fork exit kill pass drop limit dma until settle echo cat link
            finish lseek""".split())
        self.assertEqual(expected - verbs, set())


class NamesTest(unittest.TestCase):
    def test_an_operation_that_is_put_off_makes_and_uses_names_like_others(self):
        operation = parse("b: d = later ioctl g VFIO_GROUP_GET_DEVICE_FD \"{edu}\"")
        self.assertEqual((operation.process, operation.makes, operation.verb), ("b", "d", "ioctl"))

    def test_finish_needs_its_process(self):
        scope = Scope()
        self.assertEqual(scope.missing(parse("finish b")), {"b"})
        scope.follow(parse("fork b"))
        self.assertEqual(scope.missing(parse("finish b")), set())


class ShrinkTest(unittest.TestCase):
    def test_a_planted_difference_is_shrunk_to_a_few_operations(self):
        campaign = Campaign(FakeSides(), say=lambda text: None)
        campaign.run(0, 40, 60)
        self.assertEqual(list(campaign.found), ["VFIO_IOMMU_MAP_DMA:N:ENOSPC"])
        self.assertGreater(campaign.counted["VFIO_IOMMU_MAP_DMA:N:ENOSPC"], 1)
        _, _, trace = next(iter(campaign.found.values()))
        self.assertLess(len(compare.operations(trace)), 10)
        self.assertEqual(campaign.report(), 1)

    def test_a_known_difference_is_no_difference(self):
        campaign = Campaign(FakeSides(), ["VFIO_IOMMU_MAP_DMA:N:ENOSPC"], say=lambda text: None)
        campaign.run(0, 10, 60)
        self.assertEqual(campaign.report(), 0)

    def test_what_uses_a_name_goes_with_its_maker(self):
        trace = "trace 1\nc = open /dev/vfio/vfio rw\nioctl c VFIO_GET_API_VERSION\nsettle\n"

        def differs(texts):
            return ["settle" in text for text in texts]
        self.assertEqual(shrink(trace, differs), "trace 1\nsettle\n")

    def test_optional_words_and_great_sizes_go(self):
        trace = "trace 1\nm = map 0x20000 rw memfd\nioctl 3 VFIO_DEVICE_GET_INFO argsz=24 flags=3\n"

        def differs(texts):
            return ["map" in text and "GET_INFO" in text for text in texts]
        self.assertEqual(shrink(trace, differs),
                         "trace 1\nm = map 0x1000 rw\nioctl 3 VFIO_DEVICE_GET_INFO\n")

    def test_copies_are_replaced_by_what_they_copy(self):
        trace = ("trace 1\nc = open /dev/vfio/vfio rw\nc2 = dup c\nfork p\n"
                 "p: ioctl c2 VFIO_GET_API_VERSION\n")

        def differs(texts):
            return ["VFIO_GET_API_VERSION" in text for text in texts]
        self.assertEqual(shrink(trace, differs),
                         "trace 1\nc = open /dev/vfio/vfio rw\nioctl c VFIO_GET_API_VERSION\n")


class CompareTest(unittest.TestCase):
    def test_the_result_is_behind_the_last_arrow(self):
        line = compare.split('echo /x "a -> b" -> 0')
        self.assertEqual((line.operation, line.result), ('echo /x "a -> b"', "0"))

    def test_a_command_is_named_by_its_ioctl(self):
        self.assertEqual(compare.command("p: d = ioctl g VFIO_GROUP_GET_DEVICE_FD x"),
                         "VFIO_GROUP_GET_DEVICE_FD")
        self.assertEqual(compare.command("p: close c"), "close")

    def test_the_shape_of_a_result_has_no_numbers(self):
        self.assertEqual(compare.shape("0 flags=0x3 size=0x100000"), "N flags=N size=N")
        self.assertEqual(compare.shape("EINVAL"), "EINVAL")

    def test_a_side_that_stopped_differs(self):
        ours, theirs = "settle -> ok\nsettle -> ok\n", "settle -> ok\n"
        difference = compare.first_difference(ours, theirs)
        self.assertEqual((difference.index, difference.theirs), (1, "missing"))

    def test_behind_a_known_success_of_one_side_nothing_is_compared(self):
        ours = "close c -> 0\nsettle -> ok\n"
        theirs = "close c -> EBADF\nsettle -> timeout\n"
        self.assertIsNone(compare.first_difference(ours, theirs, ["close:N:EBADF"]))

    def test_successes_and_errnos_are_counted(self):
        counts = compare.histogram(["close c -> 0\nclose c -> EBADF\nsettle -> ok\n"])
        self.assertAlmostEqual(compare.succeeded(counts), 200 / 3)
        self.assertIn("EBADF:1", compare.table(counts))


if __name__ == "__main__":
    unittest.main()
