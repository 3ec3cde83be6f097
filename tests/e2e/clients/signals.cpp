// Calls that are interrupted by a timer all the time, whose handler has no SA_RESTART: none ends
// with EINTR. Untraced, the two that pass through the filter of system calls may.
//
//   e2e_signals SECONDS [untraced]
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <csignal>

#include "client.hpp"

static volatile sig_atomic_t alarms;

static void Interrupt(bool on, long microseconds) {
  struct sigaction action {};
  action.sa_handler = [](int) { alarms = alarms + 1; };
  Require(sigaction(SIGALRM, &action, nullptr) == 0, "sigaction");
  const itimerval timer{{0, on ? microseconds : 0}, {0, on ? microseconds : 0}};
  Require(setitimer(ITIMER_REAL, &timer, nullptr) == 0, "setitimer");
}

struct Tally {
  const char* name;
  unsigned long calls = 0, interrupted = 0;
  // True when the call is to be looked at, false when it was interrupted.
  bool Counts(long result) {
    calls++;
    if (result >= 0 || errno != EINTR) return true;
    interrupted++;
    return false;
  }
};

// Signals in the middle of calls: each comes once, with what was sent with it, in the order of
// sending.
struct Queued {
  static constexpr int kSignals = 3000;
  static inline volatile sig_atomic_t received = 0, wrong = 0;

  static void Take(int, siginfo_t* info, void*) {
    if (info->si_code != SI_QUEUE || info->si_value.sival_int != received) wrong = wrong + 1;
    received = received + 1;
  }
  static void* Send(void* to) {
    for (int i = 0; i < kSignals; i++) {
      while (pthread_sigqueue(*static_cast<pthread_t*>(to), SIGRTMIN + 1, {.sival_int = i}) != 0)
        usleep(50);
      usleep(30);
    }
    return nullptr;
  }
};

static void CheckQueuedSignals(Edu& edu) {
  struct sigaction action {};
  action.sa_sigaction = Queued::Take;
  action.sa_flags = SA_SIGINFO;
  Require(sigaction(SIGRTMIN + 1, &action, nullptr) == 0, "sigaction");
  pthread_t self = pthread_self(), sender;
  Require(pthread_create(&sender, nullptr, Queued::Send, &self) == 0, "pthread_create");
  unsigned long ended = 0;
  for (uint32_t seen = 0; Queued::received < Queued::kSignals;)
    ended += pread(edu.fd, &seen, 4, edu.bar + Edu::kLiveness) != 4;
  pthread_join(sender, nullptr);
  Expect(Queued::wrong == 0, "queued signals come in order, with their values");
  Expect(ended == 0, "they end no access to a register");
}

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 3;
  const bool traced = argc <= 2;
  Edu edu;
  uint8_t* memory = MapMemory(kPage);
  const int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  Tally ioctls{"ioctl"}, accesses{"pread and pwrite"}, opens{"open"}, devices{"GET_DEVICE_FD"},
      maps{"mmap"}, reads{"read, no file waits"};
  const int counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const auto start = Clock::now();
  for (uint32_t i = 0; SecondsSince(start) < seconds; i++) {
    Interrupt(true, 200 + i % 7 * 150);
    vfio_group_status status{sizeof status, 0};
    if (ioctls.Counts(ioctl(edu.group, VFIO_GROUP_GET_STATUS, &status)))
      Expect(status.flags == 3, "GET_STATUS says viable and in a container");

    const int mapped = edu.TryMap(memory, 0x100000, kPage);
    if (ioctls.Counts(mapped)) {
      Require(mapped == 0, "MAP_DMA");
      vfio_iommu_type1_dma_unmap unmap{sizeof unmap, 0, 0x100000, kPage};
      const int unmapped = ioctl(edu.container, VFIO_IOMMU_UNMAP_DMA, &unmap);
      if (ioctls.Counts(unmapped))
        Expect(unmapped == 0 && unmap.size == kPage, "UNMAP_DMA of what was mapped");
    }

    uint32_t value = i, seen = 0;
    if (accesses.Counts(pwrite(edu.fd, &value, 4, edu.bar + Edu::kLiveness)) &&
        accesses.Counts(pread(edu.fd, &seen, 4, edu.bar + Edu::kLiveness)))
      Expect(seen == ~value, "a register holds what was written");

    reads.Counts(read(own, &seen, 1));
    reads.Counts(read(counter, &seen, 8));  // EAGAIN, EINVAL

    const int fd = ioctl(edu.group, VFIO_GROUP_GET_DEVICE_FD, kEdu);
    if (devices.Counts(fd)) {
      Require(fd >= 0, "GET_DEVICE_FD");
      vfio_device_info info{};
      info.argsz = sizeof info;
      const int known = ioctl(fd, VFIO_DEVICE_GET_INFO, &info);
      if (ioctls.Counts(known)) Expect(known == 0 && info.num_regions == 9, "GET_INFO's answer");
      if (reads.Counts(read(fd, &seen, 4))) Expect(seen == 0x010000ed, "edu's first register");
      close(fd);
    }
    const int container = OpenNode("vfio");
    if (opens.Counts(container)) {
      Require(container >= 0, "open of a container");
      const int version = ioctl(container, VFIO_GET_API_VERSION);
      if (ioctls.Counts(version)) Expect(version == 0, "GET_API_VERSION");
      close(container);
    }
    void* file = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, own, 0);
    if (maps.Counts(file == MAP_FAILED ? -1 : 0)) {
      Require(file != MAP_FAILED, "mmap of a file");
      munmap(file, kPage);
    }
  }
  // Of a pipe preadv2 at -1 is a read that waits, and that a signal ends.
  int ends[2];
  Require(pipe(ends) == 0, "pipe");
  char byte = 0;
  const iovec part{&byte, 1};
  Interrupt(true, 5000);
  Expect(preadv2(ends[0], &part, 1, -1, 0) == -1 && errno == EINTR, "a read of a pipe is EINTR");
  Interrupt(false, 0);
  for (const Tally& tally : {ioctls, accesses, opens, devices, maps, reads})
    printf("%s: %lu calls, %lu interrupted\n", tally.name, tally.calls, tally.interrupted);
  printf("%d signals\n", static_cast<int>(alarms));
  Expect(alarms > 100, "there were many signals");
  Expect(devices.calls > 100, "there were many calls");
  Expect(ioctls.interrupted == 0, "VFIO's ioctls are not interruptible");
  Expect(accesses.interrupted == 0, "accesses to registers are not interruptible");
  if (traced) {
    Expect(devices.interrupted == 0, "GET_DEVICE_FD is not interruptible");
    Expect(maps.interrupted == 0, "mmap is not interruptible");
    Expect(reads.interrupted == 0, "reads that do not wait are not interruptible");
  }
  CheckQueuedSignals(edu);
  // The descriptors that were handed out are closed: the group can leave its container.
  close(edu.fd);
  edu.fd = -1;
  Require(ioctl(edu.group, VFIO_GROUP_UNSET_CONTAINER) == 0, "UNSET_CONTAINER at the end");
}
