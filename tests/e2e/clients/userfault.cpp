// A client that holds back its memory: a page that userfaultfd guards and nobody ever fills.
//
//   e2e_userfault ioctl [other]   an ioctl's argument is on that page
//   e2e_userfault device-fd       so is the address that GET_DEVICE_FD reads
//   e2e_userfault dma [other]     a device's DMA goes there
//
// With `other` a process that is no client holds the userfaultfd and outlives this one for a while.
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "client.hpp"

static uint8_t* GuardedPage(bool by_other) {
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
  uint8_t* page = MapMemory(kPage);
  uffdio_register range{{reinterpret_cast<uintptr_t>(page), kPage}, UFFDIO_REGISTER_MODE_MISSING, 0};
  Require(ioctl(fd, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
  if (!by_other) return page;
  // The copy in the child is of the same userfaultfd: it keeps guarding this process's page.
  const pid_t keeper = fork();
  Require(keeper >= 0, "fork");
  if (keeper == 0) {
    sleep(6);
    _exit(0);
  }
  close(fd);
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
  const bool by_other = argc > 2;
  if (what == "ioctl") {
    const int group = OpenNode("1");
    Require(group >= 0, "open of the group");
    uint8_t* page = GuardedPage(by_other);
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
    uint8_t* page = GuardedPage(by_other);
    const auto start = Clock::now();
    const int result = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, page);
    ExpectCutOff(result, SecondsSince(start));
  } else if (what == "dma") {
    Edu edu;
    uint8_t* page = GuardedPage(by_other);
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
