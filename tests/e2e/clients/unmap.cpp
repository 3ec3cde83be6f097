// Whether memory that was mapped for DMA, by the interface of 2010 and 2011, takes its mapping
// along when the process unmaps it.
//
//   e2e_unmap /dev/vfioN goes|stays
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct DmaMap {
  uint64_t vaddr, dmaaddr, size, flags;
};
constexpr unsigned long kMap = 0xc0203b65, kDomainSet = 0x40043b6b;
constexpr size_t kPage = 4096, kSize = 2 * kPage;

int device;
bool goes;
uint64_t next_iova = 0x100000;

void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

char* Memory() {
  void* at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require(at != MAP_FAILED, "mmap");
  return static_cast<char*>(at);
}

bool Map(char* memory, uint64_t iova) {
  DmaMap map{reinterpret_cast<uint64_t>(memory), iova, kSize, 1};
  return ioctl(device, kMap, &map) == 0;
}

// `lose` takes a part of the memory away; then the addresses of its mapping are free, or are not.
template <class Lose>
void Try(const char* how, Lose lose) {
  const uint64_t iova = next_iova += 0x100000;
  char* memory = Memory();
  Require(Map(memory, iova), "map");
  lose(memory);
  errno = 0;
  const bool free = Map(Memory(), iova);
  Require(free == goes && (free || errno == EBUSY), how);
}

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 3, "usage: e2e_unmap NODE goes|stays");
  goes = strcmp(argv[2], "goes") == 0;
  device = open(argv[1], O_RDWR);
  const int domain = open("/dev/uiommu", O_RDONLY);
  Require(device >= 0 && domain >= 0, "open");
  Require(ioctl(device, kDomainSet, &domain) == 0, "DOMAIN_SET");
  Try("munmap", [](char* at) { munmap(at + kPage, kPage); });
  Try("mmap over it",
      [](char* at) { mmap(at, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); });
  Try("mremap",
      [](char* at) { mremap(at, kSize, kSize, MREMAP_MAYMOVE | MREMAP_FIXED, Memory()); });
  Try("mremap that shrinks", [](char* at) { mremap(at, kSize, kPage, 0); });
  Try("madvise", [](char* at) { madvise(at, kPage, MADV_DONTNEED); });
  const bool before = goes;
  goes = false;
  Try("nothing", [](char*) {});
  Try("other memory", [](char*) { munmap(Memory(), kSize); });
  goes = before;
  puts("as it should be");
  return 0;
}
