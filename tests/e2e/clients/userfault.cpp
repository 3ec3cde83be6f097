// A client that holds back its memory: a page that userfaultfd guards and nobody ever fills, or a
// file.
//
//   e2e_userfault ioctl [KEEPER]       an ioctl's argument is on that page
//   e2e_userfault device-fd [KEEPER]   so is the address that GET_DEVICE_FD reads
//   e2e_userfault dma [KEEPER]         a device's DMA goes there
//   e2e_userfault pread [KEEPER]       what is read of a device goes there
//   e2e_userfault second               and to two pages: one that comes late, and that one
//   e2e_userfault file DIRECTORY       a file is mapped for DMA whose file system answers its
//   client only e2e_userfault descriptor DIRECTORY such a file is named where a container or an
//   eventfd should be e2e_userfault stack [KEEPER]       memory is mapped for DMA while the page
//   where the stack begins is guarded e2e_userfault late                 ioctls whose header and
//   data each come after a tenth of a second e2e_userfault crowd COUNT          that many processes
//   of the first kind at a time e2e_userfault keep SOCKET          no client: keeps the userfaultfd
//   of one whose KEEPER it is
#include <linux/userfaultfd.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <thread>

#include "client.hpp"
#include "held_file.hpp"
#include "support/descriptor_passing.hpp"

static sockaddr_un AddressOf(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Expect(strlen(path) < sizeof address.sun_path, "the path is not too long");
  strcpy(address.sun_path, path);
  return address;
}

// Takes one descriptor and keeps it.
static void Keep(const char* path) {
  const sockaddr_un address = AddressOf(path);
  const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
              listen(server, 1) == 0,
          "listen");
  const int client = accept(server, nullptr, nullptr);
  Require(client >= 0 && ReceiveDescriptor(client, 0) >= 0, "accept");
  Require(write(client, "", 1) == 1, "write");
  sleep(60);
}

static void HandOver(int fd, const char* path) {
  const sockaddr_un address = AddressOf(path);
  const int keeper = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(connect(keeper, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
          "connect");
  char byte = 0;
  Require(SendDescriptor(keeper, fd) && read(keeper, &byte, 1) == 1, "sendmsg");
  close(keeper);
  close(fd);
}

// The userfaultfd that guards `count` pages, which are not there now.
static int GuardPages(uint8_t* pages, uint64_t count) {
  int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
  if (fd < 0) {
    const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device >= 0) fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
  }
  if (fd < 0) {
    printf("no userfaultfd: %s\n", strerror(errno));
    exit(77);
  }
  uffdio_api api{UFFD_API, 0, 0};
  Require(ioctl(fd, UFFDIO_API, &api) == 0, "UFFDIO_API");
  uffdio_register range{
      {reinterpret_cast<uintptr_t>(pages), count * kPage}, UFFDIO_REGISTER_MODE_MISSING, 0};
  Require(ioctl(fd, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
  Require(madvise(pages, count * kPage, MADV_DONTNEED) == 0, "madvise");
  return fd;
}

// Takes a page away for ever; with `keeper` another process holds the userfaultfd.
static void Guard(uint8_t* page, const char* keeper) {
  const int fd = GuardPages(page, 1);
  if (keeper != nullptr) HandOver(fd, keeper);
}

// Fills guarded pages with what `content` has for them, each a while after it was missed.
[[noreturn]] static void FillLate(int fd, const uint8_t* pages, const uint8_t* content) {
  uffd_msg message{};
  while (read(fd, &message, sizeof message) == sizeof message) {
    usleep(100'000);
    const uint64_t page = message.arg.pagefault.address & ~(kPage - 1);
    uffdio_copy copy{};
    copy.dst = page;
    copy.src = reinterpret_cast<uintptr_t>(content) + (page - reinterpret_cast<uintptr_t>(pages));
    copy.len = kPage;
    ioctl(fd, UFFDIO_COPY, &copy);
  }
  Fail("read of the userfaultfd");
}

static uint8_t* GuardedPage(const char* keeper) {
  uint8_t* page = MapMemory(kPage);
  Guard(page, keeper);
  return page;
}

static void ExpectCutOff(long result, double seconds) {
  printf("%s after %.1f s\n", result < 0 ? strerrorname_np(errno) : "success", seconds);
  fflush(stdout);
  Expect(result < 0 && errno == EFAULT, "the call is EFAULT");
  Expect(seconds > 1.5 && seconds < 8, "the call took about 2 s");
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string what = argv[1];
  const char* keeper = argc > 2 ? argv[2] : nullptr;
  if (what == "keep" && argc > 2) {
    Keep(argv[2]);
  } else if (what == "ioctl") {
    const int group = OpenNode("1");
    Require(group >= 0, "open of the group");
    uint8_t* page = GuardedPage(keeper);
    const auto start = Clock::now();
    const int result = ioctl(group, VFIO_GROUP_GET_STATUS, page);
    ExpectCutOff(result, SecondsSince(start));
    // All its memory is out of reach from now on, but nobody waits for it again.
    const auto again = Clock::now();
    vfio_group_status status{sizeof status, 0};
    Expect(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == -1 && errno == EFAULT,
           "the next call is EFAULT, too");
    Expect(SecondsSince(again) < 1, "the next call does not take long");
  } else if (what == "device-fd") {
    const int group = OpenNode("1");
    Require(group >= 0, "open of the group");
    uint8_t* page = GuardedPage(keeper);
    const auto start = Clock::now();
    const int result = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, page);
    ExpectCutOff(result, SecondsSince(start));
  } else if (what == "pread" || what == "second") {
    Edu edu;
    const bool first = what == "second";
    uint8_t *pages = MapMemory(2 * kPage), *content = MapMemory(kPage);
    Guard(pages + kPage, keeper);
    if (first) std::thread(FillLate, GuardPages(pages, 1), pages, content).detach();
    constexpr off_t kConfig = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
    const auto start = Clock::now();
    const ssize_t result = pread(edu.fd, pages + kPage - (first ? 8 : 0), 16, kConfig);
    ExpectCutOff(result, SecondsSince(start));
  } else if (what == "file" && argc > 2) {
    Edu edu;
    uint8_t* page = MapMemory(kPage, MAP_SHARED, held_file::OpenIn(argv[2]));
    const auto start = Clock::now();
    const int result = edu.TryMap(page, 0x100000, kPage);
    ExpectCutOff(result, SecondsSince(start));
  } else if (what == "descriptor" && argc > 2) {
    const int file = held_file::OpenIn(argv[2]);
    const int group = OpenNode("1");
    Require(group >= 0, "open of the group");
    const auto start = Clock::now();
    Expect(ioctl(group, VFIO_GROUP_SET_CONTAINER, &file) == -1 && errno == EBADFD,
           "a file that is no container is EBADFD");
    close(group);
    Edu edu;
    Expect(edu.TrySetTrigger(file) == -1 && errno == EINVAL, "a file that is no eventfd is EINVAL");
    Expect(SecondsSince(start) < 1, "neither takes long");
  } else if (what == "stack") {
    // The arguments are on that page, so another thread goes on.
    std::thread([keeper = std::string(keeper ? keeper : "")] {
      Edu edu;
      uint8_t* memory = MapMemory(kPage);
      Guard(reinterpret_cast<uint8_t*>(getauxval(AT_RANDOM) & ~(kPage - 1)),
            keeper.empty() ? nullptr : keeper.c_str());
      const auto start = Clock::now();
      const int result = edu.TryMap(memory, 0x100000, kPage);
      ExpectCutOff(result, SecondsSince(start));
      _exit(0);
    }).join();
  } else if (what == "late") {
    Edu edu;
    uint8_t *pages = MapMemory(2 * kPage), *content = MapMemory(2 * kPage);
    const vfio_irq_set off{sizeof off + sizeof(int),
                           VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                           VFIO_PCI_MSI_IRQ_INDEX, 0, 1};
    const int none = -1;
    memcpy(content + kPage - sizeof off, &off, sizeof off);
    memcpy(content + kPage, &none, sizeof none);
    const int fd = GuardPages(pages, 2);
    std::thread(FillLate, fd, pages, content).detach();
    for (int i = 0; i < 5; i++) {
      Require(madvise(pages, 2 * kPage, MADV_DONTNEED) == 0, "madvise");
      Require(ioctl(edu.fd, VFIO_DEVICE_SET_IRQS, pages + kPage - sizeof off) == 0, "SET_IRQS");
    }
  } else if (what == "crowd" && argc > 2) {
    const int group = OpenNode("1");
    Require(group >= 0, "open of the group");
    const int count = atoi(argv[2]);
    for (int i = 0; i < count; i++)
      if (fork() == 0) {
        uint8_t* page = GuardedPage(nullptr);
        const auto start = Clock::now();
        const int result = ioctl(group, VFIO_GROUP_GET_STATUS, page);
        // They queue for the core, each for as long as it waits for one.
        Expect(result == -1 && errno == EFAULT && SecondsSince(start) < 12, "the call is EFAULT");
        _exit(0);
      }
    for (int status = 0, i = 0; i < count; i++) {
      Require(wait(&status) > 0, "wait");
      Expect(status == 0, "each of them is content");
    }
  } else if (what == "dma") {
    Edu edu;
    uint8_t* page = GuardedPage(keeper);
    edu.Map(page, 0x100000, kPage);
    edu.StartDma(0x100000, Edu::kBuffer, 64, 0);
    const auto start = Clock::now();
    // The device is in the middle of its transfer, its registers are not.
    while (SecondsSince(start) < 3.5) {
      Expect((edu.Read(0) & 0xffff) == 0x00ed, "a register can be read");
      usleep(1000);
    }
    printf("the transfer is %s\n", edu.Read(Edu::kCommand) & 1 ? "under way" : "over");
  } else {
    return 2;
  }
}
