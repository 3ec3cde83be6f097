// A program of October 2011, for 32 bits: its system calls are those of i386, and all that they
// are given lies below 4 GiB.
//
//   e2e_i386 B0|B1      the machine of topologies/merge.json
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum { kClose = 6, kOpen = 5, kIoctl = 54 };
constexpr uint32_t kGetIommuFd = 0x3b67, kGetDeviceFd = 0x40043b68;

long Call(long number, long first, long second, long third) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(first), "c"(second), "d"(third)
               : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}

void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

uint32_t* memory;
long Give(int fd, uint32_t command, const void* argument, size_t size) {
  memcpy(memory, argument, size);
  return Call(kIoctl, fd, command, static_cast<long>(reinterpret_cast<uintptr_t>(memory)));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string revision = argc == 2 ? argv[1] : "";
  const bool is_b0 = revision == "B0";
  void* low =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  Require(low != MAP_FAILED, "memory below 4 GiB");
  memory = static_cast<uint32_t*>(low);
  const char node[] = "/dev/vfio/1", name[] = "0000:01:00.0";
  memcpy(memory, node, sizeof node);
  const int group = static_cast<int>(
      Call(kOpen, static_cast<long>(reinterpret_cast<uintptr_t>(memory)), O_RDWR, 0));
  Require(group >= 0, node);
  const int iommu = static_cast<int>(Call(kIoctl, group, kGetIommuFd, 0));
  Require(iommu >= 0, "GROUP_GET_IOMMU_FD");
  const int device = static_cast<int>(Give(group, kGetDeviceFd, name, sizeof name));
  Require(device >= 0, "GROUP_GET_DEVICE_FD");
  const uint32_t irqs = is_b0 ? 0x80043b6e : 0x80043b6f;
  Require(Give(device, irqs, "", 1) == 0 && memory[0] == 3, "DEVICE_GET_NUM_IRQS");
  if (is_b0) {
    const uint32_t info[5] = {sizeof info, 0, 7, 7, 7};
    Require(Give(device, 0xc0143b6f, info, sizeof info) == 0, "DEVICE_GET_IRQ_INFO");
    Require(memory[2] == 1 && memory[3] == 1 && memory[4] == 0, "one level interrupt");
  } else {
    const uint32_t info[4] = {sizeof info, 0, 7, 7};
    Require(Give(device, 0xc0103b70, info, sizeof info) == 0, "DEVICE_GET_IRQ_INFO");
    Require(memory[2] == 1 && memory[3] == 1, "one level interrupt");
  }
  Require(Give(group, 0x3bff, "", 1) == -ENOSYS, "a number that is none");
  const struct {
    uint64_t length, address, iova, size, flags;
  } map{sizeof map, reinterpret_cast<uintptr_t>(low), 0x100000, 4096, 1};
  const uint32_t do_map = is_b0 ? 0xc0283b69 : 0xc0283b6a, unmap = do_map + 1;
  Require(Give(iommu, do_map, &map, sizeof map) == 0, "IOMMU_MAP_DMA");
  Require(Give(iommu, unmap, &map, sizeof map) == 0, "IOMMU_UNMAP_DMA");
  for (const int fd : {device, iommu, group}) Require(Call(kClose, fd, 0, 0) == 0, "close");
  puts("as it should be");
  return 0;
}
