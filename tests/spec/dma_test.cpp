// DMA by the device: it reaches exactly the memory that was mapped, at the IOVAs that were chosen.
#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr size_t kCount = 1024;  // edu's own buffer has 4 KiB

Client OpenMaster() {
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster, 0);
  return client;
}

bool Same(const uint8_t* memory, const std::vector<uint8_t>& bytes) {
  return std::memcmp(memory, bytes.data(), bytes.size()) == 0;
}

// Puts bytes into the device by way of an IOVA that the test does not use otherwise.
void LoadDevice(const Client& client, const std::vector<uint8_t>& bytes) {
  constexpr uint64_t kElsewhere = 0x8000000;
  Pages memory(1);
  std::memcpy(memory.Data(), bytes.data(), bytes.size());
  REQUIRE(Map(client.container, kElsewhere, memory.Data(), kPage) == 0);
  DmaFromMemory(client.device, kElsewhere, static_cast<uint32_t>(bytes.size()));
  REQUIRE(Unmap(client.container, kElsewhere, kPage) == kPage);
}

// What the device's buffer holds, fetched in the same way.
std::vector<uint8_t> UnloadDevice(const Client& client, size_t count) {
  constexpr uint64_t kElsewhere = 0x8000000;
  Pages memory(1);
  REQUIRE(Map(client.container, kElsewhere, memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kElsewhere, static_cast<uint32_t>(count));
  REQUIRE(Unmap(client.container, kElsewhere, kPage) == kPage);
  return {memory.Data(), memory.Data() + count};
}

// Sends the memory's bytes through the device and back to a second IOVA.
void RoundTrip(const Client& client, uint64_t from, uint64_t to, uint32_t count) {
  DmaFromMemory(client.device, from, count);
  DmaToMemory(client.device, to, count);
}

}  // namespace

TEST_CASE("DMA: bytes go from memory to the device and come back", "[dma]") {
  Pages memory(2);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  std::memcpy(memory.Data(), bytes.data(), kCount);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), 2 * kPage) == 0);
  RoundTrip(client, kIova, kIova + kPage, kCount);
  CHECK(Same(memory.Data() + kPage, bytes));
  CHECK(Same(memory.Data(), bytes));
}

TEST_CASE("DMA: the device writes its count of bytes and not one more", "[dma]") {
  Pages memory(1);
  memory.Fill(0x5a);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova + 101, 7);
  CHECK(memory[100] == 0x5a);
  for (size_t i = 101; i < 108; i++) CHECK(memory[i] == 0xc3);
  CHECK(memory[108] == 0x5a);
}

TEST_CASE("DMA: the device sees what memory holds at the time, not when it was mapped", "[dma]") {
  Pages memory(1);
  memory.Fill(0x11);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  memory.Fill(0x22);
  DmaFromMemory(client.device, kIova, kCount);
  CHECK(UnloadDevice(client, kCount) == std::vector<uint8_t>(kCount, 0x22));
}

TEST_CASE("DMA: untouched memory can be mapped; the device reads zeros and may write", "[dma]") {
  Pages memory(2);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xff));
  REQUIRE(Map(client.container, kIova, memory.Data(), 2 * kPage) == 0);
  DmaFromMemory(client.device, kIova, kCount / 2);
  DmaToMemory(client.device, kIova + kPage, kCount);
  CHECK(memory[kPage] == 0);
  CHECK(memory[kPage + kCount - 1] == 0xff);
}

TEST_CASE("DMA: a transfer may cross pages that lie apart in memory", "[dma]") {
  Pages memory(3);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client client = OpenMaster();
  LoadDevice(client, bytes);
  REQUIRE(Map(client.container, kIova, memory.Data() + 2 * kPage, kPage) == 0);
  REQUIRE(Map(client.container, kIova + kPage, memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova + kPage - kCount / 2, kCount);
  CHECK(std::memcmp(memory.Data() + 3 * kPage - kCount / 2, &bytes[0], kCount / 2) == 0);
  CHECK(std::memcmp(memory.Data(), &bytes[kCount / 2], kCount / 2) == 0);
}

TEST_CASE("DMA: one mapping may cover a private and a shared area of memory", "[dma]") {
  Pages memory(2);
  Fd file(::memfd_create("shared", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file, kPage) == 0);
  REQUIRE(::mmap(memory.Data() + kPage, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
                 0) != MAP_FAILED);
  std::vector<uint8_t> bytes = RandomBytes(kCount), in_file(kCount / 2);
  Client client = OpenMaster();
  LoadDevice(client, bytes);
  REQUIRE(Map(client.container, kIova, memory.Data(), 2 * kPage) == 0);
  DmaToMemory(client.device, kIova + kPage - kCount / 2, kCount);
  CHECK(Same(memory.Data() + kPage - kCount / 2, bytes));
  CHECK(Read(file, in_file.data(), in_file.size(), 0) == kCount / 2);
  CHECK(std::memcmp(in_file.data(), &bytes[kCount / 2], kCount / 2) == 0);
}

TEST_CASE("DMA: memory of a file, of the heap and of the stack can be reached", "[dma]") {
  Fd file(::memfd_create("file", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file, kPage) == 0);
  Pages shared(1, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  Pages anonymous(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  auto* heap = static_cast<uint8_t*>(std::aligned_alloc(kPage, kPage));
  alignas(4096) uint8_t stack[kPage];
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client client = OpenMaster();
  LoadDevice(client, bytes);
  for (uint8_t* memory : {shared.Data(), anonymous.Data(), heap, &stack[0]}) {
    std::memset(memory, 0, kPage);
    REQUIRE(Map(client.container, kIova, memory, kPage) == 0);
    DmaToMemory(client.device, kIova, kCount);
    CHECK(Same(memory, bytes));
    REQUIRE(Unmap(client.container, kIova, kPage) == kPage);
  }
  std::free(heap);
}

TEST_CASE("DMA: one page at two IOVAs is the same page", "[dma]") {
  Pages memory(1);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  std::memcpy(memory.Data(), bytes.data(), kCount);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(client.container, 5 * kIova, memory.Data(), kPage) == 0);
  RoundTrip(client, kIova, 5 * kIova + 2 * kCount, kCount);
  CHECK(Same(memory.Data() + 2 * kCount, bytes));
}

TEST_CASE("DMA: IOVA 0 and the IOVA below 256 MiB are as good as others", "[dma]") {
  Pages memory(2);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  std::memcpy(memory.Data(), bytes.data(), kCount);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, 0, memory.Data(), kPage) == 0);
  REQUIRE(Map(client.container, (256 << 20) - kPage, memory.Data() + kPage, kPage) == 0);
  RoundTrip(client, 0, (256 << 20) - kPage, kCount);
  CHECK(Same(memory.Data() + kPage, bytes));
}

TEST_CASE("DMA: an IOVA that is unmapped and mapped again reaches the new memory only", "[dma]") {
  Pages old_memory(1), new_memory(1);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client client = OpenMaster();
  LoadDevice(client, bytes);
  REQUIRE(Map(client.container, kIova, old_memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova, 1);
  old_memory.Fill(0x5a);
  REQUIRE(Unmap(client.container, kIova, kPage) == kPage);
  REQUIRE(Map(client.container, kIova, new_memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(new_memory.Data(), bytes));
  CHECK(Same(old_memory.Data(), std::vector<uint8_t>(kCount, 0x5a)));
}

TEST_CASE("DMA: a mapping made by a child process reaches the child's memory", "[dma]") {
  Pages memory(1);
  memory.Fill(0x5a);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  CHECK(EndsWell(Fork([&] {
    memory[0] = 1;  // from here on the page is the child's own
    if (!(Map(client.container, kIova, memory.Data(), kPage) == 0)) return false;
    DmaToMemory(client.device, kIova, kCount);
    return memory[0] == 0xc3 && memory[kCount - 1] == 0xc3 && memory[kCount] == 0x5a;
  })));
  CHECK(memory[0] == 0x5a);
  CHECK(Unmap(client.container, kIova, kPage) == kPage);  // the mapping outlives its maker
}

// ---- DMA that must not happen ----

TEST_CASE("DMA: without bus mastering the device writes nothing", "[dma][blocked]") {
  Pages memory(1);
  memory.Fill(0x5a);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  SetCommand(client.device, 0, kCommandMaster);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(memory.Data(), std::vector<uint8_t>(kCount, 0x5a)));
  SetCommand(client.device, kCommandMaster, 0);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(memory.Data(), std::vector<uint8_t>(kCount, 0xc3)));
}

TEST_CASE("DMA: without bus mastering the device reads nothing", "[dma][blocked]") {
  Pages memory(1);
  std::vector<uint8_t> secret = RandomBytes(kCount);
  std::memcpy(memory.Data(), secret.data(), kCount);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  SetCommand(client.device, 0, kCommandMaster);
  DmaFromMemory(client.device, kIova, kCount);
  SetCommand(client.device, kCommandMaster, 0);
  CHECK(UnloadDevice(client, kCount) != secret);
}

TEST_CASE("DMA: after UNMAP_DMA the device no longer writes to the memory", "[dma][blocked]") {
  Pages memory(1);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova, kCount);
  REQUIRE(memory[0] == 0xc3);
  REQUIRE(Unmap(client.container, kIova, kPage) == kPage);
  memory.Fill(0x5a);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(memory.Data(), std::vector<uint8_t>(kCount, 0x5a)));
}

TEST_CASE("DMA: after UNMAP_DMA the device no longer reads the memory", "[dma][blocked]") {
  Pages memory(1);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  DmaFromMemory(client.device, kIova, kCount);
  REQUIRE(Unmap(client.container, kIova, kPage) == kPage);
  std::vector<uint8_t> secret = RandomBytes(kCount);
  std::memcpy(memory.Data(), secret.data(), kCount);
  DmaFromMemory(client.device, kIova, kCount);
  CHECK(UnloadDevice(client, kCount) != secret);
}

// One within edu's reach, where the heap of a program without PIE has not come to lie.
static uint8_t* LowPage() {
  for (uint64_t at = 0x5000000; at < 0x10000000; at += 0x100000) {
    void* wanted = reinterpret_cast<void*>(at);
    if (::mmap(wanted, kPage, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wanted)
      return static_cast<uint8_t*>(wanted);
  }
  throw std::runtime_error("no page is free below 256 MiB");
}

TEST_CASE("DMA: the address of memory is not its IOVA", "[dma][blocked]") {
  uint8_t* memory = LowPage();
  std::memset(memory, 0x5a, kPage);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  REQUIRE(Map(client.container, kIova, memory, kPage) == 0);
  DmaToMemory(client.device, reinterpret_cast<uint64_t>(memory), kCount);
  CHECK(Same(memory, std::vector<uint8_t>(kCount, 0x5a)));
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(memory, std::vector<uint8_t>(kCount, 0xc3)));
  ::munmap(memory, kPage);
}

TEST_CASE("DMA: memory stays where another mapping in its place is refused", "[dma][blocked]") {
  Pages memory(1);
  const std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client client = OpenMaster();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  std::memcpy(memory.Data(), bytes.data(), kCount);
  REQUIRE(::mmap(memory.Data(), kPage, PROT_READ, MAP_SHARED | MAP_FIXED, -1, 0) == MAP_FAILED);
  CHECK(errno == EBADF);
  CHECK(Same(memory.Data(), bytes));
  DmaFromMemory(client.device, kIova, kCount);
  CHECK(UnloadDevice(client, kCount) == bytes);
}

TEST_CASE("DMA: memory mapped for READ alone is not written, but can be read", "[dma][blocked]") {
  Pages memory(1);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  std::memcpy(memory.Data(), bytes.data(), kCount);
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage, VFIO_DMA_MAP_FLAG_READ) == 0);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(memory.Data(), bytes));
  DmaFromMemory(client.device, kIova, kCount);
  CHECK(UnloadDevice(client, kCount) == bytes);
}

TEST_CASE("DMA: nothing reaches the page after the last mapped one", "[dma][blocked]") {
  Pages memory(2);
  memory.Fill(0x5a);
  Client client = OpenMaster();
  LoadDevice(client, std::vector<uint8_t>(kCount, 0xc3));
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova + kPage - kCount / 2, kCount);
  CHECK(Same(memory.Data() + kPage, std::vector<uint8_t>(kPage, 0x5a)));
}

// ---- Containers ----

TEST_CASE("DMA: the same IOVA in one container after another is other memory", "[dma]") {
  Pages first(1), second(1);
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  {
    Client client = OpenMaster();
    LoadDevice(client, bytes);
    REQUIRE(Map(client.container, kIova, first.Data(), kPage) == 0);
    DmaToMemory(client.device, kIova, kCount);
    CHECK(Same(first.Data(), bytes));
    first.Fill(0x5a);
  }
  Client client = OpenMaster();
  LoadDevice(client, bytes);
  REQUIRE(Map(client.container, kIova, second.Data(), kPage) == 0);
  DmaToMemory(client.device, kIova, kCount);
  CHECK(Same(second.Data(), bytes));
  CHECK(Same(first.Data(), std::vector<uint8_t>(kCount, 0x5a)));
}

TEST_CASE("DMA: two devices in two containers share IOVAs but not memory", "[dma][two]") {
  if (!std::getenv("VFIO_TEST_EDU2")) return;
  Pages first(1), second(1);
  Client one = OpenMaster(), other = OpenClient(Required("VFIO_TEST_EDU2"));
  SetCommand(other.device, kCommandMaster, 0);
  LoadDevice(one, std::vector<uint8_t>(kCount, 0x11));
  LoadDevice(other, std::vector<uint8_t>(kCount, 0x22));
  REQUIRE(Map(one.container, kIova, first.Data(), kPage) == 0);
  REQUIRE(Map(other.container, kIova, second.Data(), kPage) == 0);
  DmaToMemory(one.device, kIova, kCount);
  DmaToMemory(other.device, kIova, kCount);
  CHECK(Same(first.Data(), std::vector<uint8_t>(kCount, 0x11)));
  CHECK(Same(second.Data(), std::vector<uint8_t>(kCount, 0x22)));
}

TEST_CASE("DMA: two devices in one container hand bytes to each other", "[dma][two]") {
  if (!std::getenv("VFIO_TEST_EDU2")) return;
  Pages memory(1);
  std::string address = Required("VFIO_TEST_EDU2");
  std::vector<uint8_t> bytes = RandomBytes(kCount);
  Client one = OpenMaster();
  LoadDevice(one, bytes);
  REQUIRE(Map(one.container, kIova, memory.Data(), kPage) == 0);
  Fd group = OpenGroup(address);  // joins with a mapping already there
  REQUIRE(SetContainer(group, one.container) == 0);
  Fd other = OpenDevice(group, address);
  SetCommand(other, kCommandMaster, 0);
  DmaToMemory(one.device, kIova, kCount);
  DmaFromMemory(other, kIova, kCount);
  DmaToMemory(other, kIova + 2 * kCount, kCount);
  CHECK(Same(memory.Data() + 2 * kCount, bytes));
}
