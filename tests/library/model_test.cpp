// Device models that the emulator does not have itself: a program's own, and plug-ins.
#include <linux/vfio.h>
#include <sys/mman.h>
#include <vfiolab/model.h>

#include <array>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>
#include <vfiolab/emulator.hpp>

namespace {

using namespace std::chrono_literals;
constexpr const char* kBdf = "0000:01:00.0";

// Copies 64 bytes from the IOVA that is written to register 0 into BAR2, and back from there to the
// IOVA that is written to register 8; then sends MSI.
struct Copier {
  const vfiolab_machine_calls* calls;
  vfiolab_machine* machine;
  int resets = 0;
};

void* Create(void* context, const vfiolab_machine_calls* calls, vfiolab_machine* machine) {
  auto* copier = static_cast<Copier*>(context);
  copier->calls = calls, copier->machine = machine;
  return copier;
}

void Read(void* device, unsigned, std::uint64_t offset, void* to, std::size_t size) {
  auto* copier = static_cast<Copier*>(device);
  const std::uint64_t values[] = {copier->calls->parameter(copier->machine, "color"),
                                  copier->calls->parameter(copier->machine, "no such")};
  std::memcpy(to, reinterpret_cast<const char*>(values) + offset % 16, size);
}

void Write(void* device, unsigned, std::uint64_t offset, const void* from, std::size_t) {
  auto* copier = static_cast<Copier*>(device);
  std::uint64_t iova = 0;
  std::memcpy(&iova, from, 8);
  void* memory = copier->calls->bar_memory(copier->machine, 2);
  const int moved = offset == 0 ? copier->calls->dma_read(copier->machine, iova, memory, 64)
                                : copier->calls->dma_write(copier->machine, iova, memory, 64);
  if (moved == 0) copier->calls->signal_msi(copier->machine, 0);
}

constexpr vfiolab_parameter kParameters[] = {{"color", "what it is painted with", 7, 1, 9}};

struct Lab {
  Copier copier{};
  vfiolab_model model{};
  Lab() {
    model.abi = VFIOLAB_MODEL_ABI;
    model.name = "painter";
    model.vendor_id = 0x1234;
    model.device_id = 0x5678;
    model.express = 1;  // and so has a reset
    model.msi_vectors = 1;
    model.bars[0] = {16, 0};
    model.bars[2] = {4096, VFIOLAB_BAR_MEMORY};
    model.parameters = kParameters;
    model.parameter_count = 1;
    model.create = Create;
    model.context = &copier;
    model.reset = [](void* device) { ++static_cast<Copier*>(device)->resets; };
    model.read = Read;
    model.write = Write;
  }
  vfiolab::Emulator Host(const std::string& params = "") {
    return vfiolab::Emulator::FromJson(
        R"({"devices": [{"bdf": "0000:01:00.0", "model": "painter")" + params +
            R"(}], "groups": [{"id": 1, "members": ["0000:01:00.0"]}]})",
        "mine.json", {&model});
  }
  // What is said of a topology with it.
  std::string Refusal(const std::string& params = "") {
    try {
      Host(params);
      return "";
    } catch (const vfiolab::TopologyError& error) {
      return error.what();
    }
  }
};

int OpenDevice(vfiolab::Emulator& kernel, int& container) {
  container = kernel.Open("/dev/vfio/vfio");
  const int group = kernel.Open("/dev/vfio/1");
  REQUIRE(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
  REQUIRE(kernel.Ioctl(container, VFIO_SET_IOMMU, reinterpret_cast<void*>(VFIO_TYPE1v2_IOMMU)) ==
          0);
  const int device = kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, kBdf);
  REQUIRE(device >= 0);
  const std::uint16_t on = 6;
  REQUIRE(kernel.Pwrite(device, &on, 2, (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4) == 2);
  return device;
}

}  // namespace

TEST_CASE("a model of the program's own has parameters, memory, DMA and a reset") {
  Lab lab;
  auto kernel = lab.Host(R"(, "params": {"color": 3})");
  int container = -1;
  const int device = OpenDevice(kernel, container);
  std::uint64_t value = 0;
  CHECK(kernel.Pread(device, &value, 8, 0) == 8);
  CHECK(value == 3);
  CHECK(kernel.Pread(device, &value, 8, 8) == 8);
  CHECK(value == 0);
  alignas(4096) static std::array<char, 8192> memory;
  std::strcpy(memory.data(), "painted");
  const vfio_iommu_type1_dma_map map{sizeof map, 3, reinterpret_cast<std::uint64_t>(memory.data()),
                                     0x100000, memory.size()};
  REQUIRE(kernel.Ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0);
  const std::uint64_t from = 0x100000, to = 0x101000, nowhere = 0x900000;
  CHECK(kernel.Pwrite(device, &from, 8, 0) == 8);
  CHECK(kernel.Pwrite(device, &to, 8, 8) == 8);
  CHECK(std::string(memory.data() + 4096) == "painted");
  char seen[8] = {};
  CHECK(kernel.Pread(device, seen, 8, off_t{2} << 40) == 8);
  CHECK(std::string(seen) == "painted");
  CHECK(kernel.Pwrite(device, &nowhere, 8, 8) == 8);
  CHECK(kernel.TakeFaults().size() == 1);
  const int before = lab.copier.resets;
  CHECK(kernel.Ioctl(device, VFIO_DEVICE_RESET) == 0);
  CHECK(lab.copier.resets == before + 1);
}

TEST_CASE("a model hears of the words of a polled BAR that have changed") {
  Lab lab;
  lab.model.bars[3] = {4096, VFIOLAB_BAR_POLLED};
  static std::vector<std::array<std::uint64_t, 3>> heard;
  heard.clear();
  lab.model.write = [](void*, unsigned bar, std::uint64_t offset, const void* from,
                       std::size_t size) {
    std::uint32_t word = 0;
    REQUIRE(size == sizeof word);
    std::memcpy(&word, from, sizeof word);
    heard.push_back({bar, offset, word});
  };
  auto kernel = lab.Host();
  int container = -1;
  const int device = OpenDevice(kernel, container);
  auto* bells = static_cast<std::uint32_t*>(
      kernel.Mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, off_t{3} << 40));
  REQUIRE(bells != MAP_FAILED);
  bells[1] = 5, bells[1000] = 6, bells[1] = 7;
  CHECK(heard.empty());
  kernel.Advance(0ns);
  CHECK(heard == std::vector<std::array<std::uint64_t, 3>>{{3, 4, 7}, {3, 4000, 6}});
}

TEST_CASE("parameters of such a model are checked") {
  Lab lab;
  CHECK(lab.Refusal().empty());
  CHECK(lab.Refusal(R"(, "params": {"color": 10})").find("/devices/0/params/color") !=
        std::string::npos);
  CHECK(lab.Refusal(R"(, "params": {"colour": 1})").find("color") != std::string::npos);
}

TEST_CASE("a description that cannot be a device is refused, with what is wrong") {
  const auto refusal = [](auto spoil) {
    Lab lab;
    spoil(lab.model);
    return lab.Refusal();
  };
  using Model = vfiolab_model;
  CHECK(refusal([](Model& model) { model.abi = 9; }).find("ABI 9") != std::string::npos);
  CHECK(refusal([](Model& model) { model.create = nullptr; }).find("create()") !=
        std::string::npos);
  CHECK(refusal([](Model& model) { model.bars[0].size = 24; }).find("BAR0 has 24") !=
        std::string::npos);
  CHECK(refusal([](Model& model) { model.read = nullptr; }).find("read()") != std::string::npos);
  CHECK(refusal([](Model& model) {
          model.bars[2].flags |= VFIOLAB_BAR_POLLED;
        }).find("more than one") != std::string::npos);
  CHECK(refusal([](Model& model) { model.msi_vectors = 3; }).find("3 vectors") !=
        std::string::npos);
  CHECK(refusal([](Model& model) {
          model.msix_vectors = 4, model.msix_bar = 2;
        }).find("table of MSI-X") != std::string::npos);
  CHECK(refusal([](Model& model) { model.interrupt_pin = 5; }).find("pin 5") != std::string::npos);
}

TEST_CASE("a plug-in is a model by its path") {
  auto kernel = vfiolab::Emulator::FromJson(
      R"({"devices": [{"bdf": "0000:01:00.0", "model": "./plugin_adder.so"}], "groups": [{"id": 1, "members": ["0000:01:00.0"]}]})",
      VFIOLAB_EXAMPLES "/t.json");
  int container = -1;
  const int device = OpenDevice(kernel, container);
  std::uint32_t value = 40;
  kernel.Pwrite(device, &value, 4, 0);
  value = 2;
  kernel.Pwrite(device, &value, 4, 4);
  kernel.Pwrite(device, &value, 4, 8);
  kernel.Pread(device, &value, 4, 12);
  CHECK(value == 0);
  kernel.Advance(1us);
  kernel.Pread(device, &value, 4, 12);
  CHECK(value == 42);
}

TEST_CASE("what is no plug-in is said, with its place") {
  for (const char* name : {"./nothing.so", "./CMakeLists.txt"}) {
    try {
      vfiolab::Emulator::FromJson(R"({"devices": [{"bdf": "0000:01:00.0", "model": ")" +
                                      std::string(name) + R"("}], "groups": []})",
                                  VFIOLAB_TOPOLOGIES "/t.json");
      FAIL("it was taken");
    } catch (const vfiolab::TopologyError& error) {
      CHECK(std::string(error.what()).find("/devices/0/model: \"" + std::string(name)) !=
            std::string::npos);
    }
  }
}
