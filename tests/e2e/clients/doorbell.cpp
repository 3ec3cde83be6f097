// A client that rings doorbells in memory of the device `doorbell`.
//   e2e_doorbell rings            random ones, and looks at what the device has heard
//   e2e_doorbell idle SECONDS     keeps them mapped
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <atomic>
#include <random>

#include "client.hpp"

namespace {

struct Doorbells : Device {
  static constexpr uint32_t kBells = kPage / 4, kVectors = 4;
  uint32_t* rung = Map(0);
  uint32_t* heard = Map(2);

  Doorbells() : Device("1", "0000:01:00.0") {}
  uint32_t* Map(uint32_t bar) const {
    void* at = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, Offset(bar));
    Require(at != MAP_FAILED, "mmap of a BAR");
    return static_cast<uint32_t*>(at);
  }
  void Ring(uint32_t bell, uint32_t word) const {
    std::atomic_ref(rung[bell]).store(word, std::memory_order_release);
  }
  uint32_t Heard(uint32_t bell) const {
    return std::atomic_ref(heard[bell]).load(std::memory_order_acquire);
  }
  void AwaitHeard(uint32_t bell, uint32_t word) const {
    const auto start = Clock::now();
    while (Heard(bell) != word)
      Expect(SecondsSince(start) < 5, "a device hears of a store within 5 s");
  }
};

std::mt19937 chance{std::random_device{}()};
uint32_t Random() { return static_cast<uint32_t>(chance()); }

void RingsAreHeard(const Doorbells& device) {
  for (int i = 0; i < 3000; i++) {
    const uint32_t bell = Random() % Doorbells::kBells, word = Random() | 1;
    device.Ring(bell, word);
    device.AwaitHeard(bell, word);
    if (i % 500 == 0) usleep(20'000);  // whoever looks has gone to sleep
  }
}

void CallsComeAfterStores(const Doorbells& device) {
  for (int i = 0; i < 2000; i++) {
    const uint32_t bell = Random() % Doorbells::kBells, word = Random();
    device.Ring(bell, Random());
    device.Ring(bell, word);
    uint32_t found = 0;
    Require(pread(device.fd, &found, 4, device.Offset(2) + 4 * bell) == 4, "pread");
    Expect(found == word, "a call finds what was stored before it");
  }
}

void WritesAreHeardAtOnce(const Doorbells& device) {
  const uint32_t word = Random() | 1;
  Require(pwrite(device.fd, &word, 4, device.Offset(0) + 40) == 4, "pwrite");
  Expect(device.Heard(10) == word && device.rung[10] == word, "a pwrite rings as a store does");
}

void VectorsFollow(const Doorbells& device) {
  alignas(vfio_irq_set) char bytes[sizeof(vfio_irq_set) + Doorbells::kVectors * sizeof(int)];
  const vfio_irq_set set{sizeof bytes, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                         VFIO_PCI_MSIX_IRQ_INDEX, 0, Doorbells::kVectors};
  int fds[Doorbells::kVectors];
  for (int& fd : fds) fd = eventfd(0, EFD_CLOEXEC);
  memcpy(bytes, &set, sizeof set);
  memcpy(bytes + sizeof set, fds, sizeof fds);
  Require(ioctl(device.fd, VFIO_DEVICE_SET_IRQS, bytes) == 0, "SET_IRQS");
  for (int i = 0; i < 200; i++) {
    const uint32_t bell = Random() % Doorbells::kVectors;
    device.Ring(bell, device.rung[bell] + 1);
    pollfd ready{fds[bell], POLLIN, 0};
    Expect(poll(&ready, 1, 5000) == 1, "a doorbell is answered by an interrupt within 5 s");
    uint64_t count = 0;
    Require(read(fds[bell], &count, sizeof count) == sizeof count && count == 1, "one interrupt");
  }
  for (int fd : fds) close(fd);
}

void ChildrenRing(const Doorbells& device) {
  const uint32_t word = Random() | 1;
  const pid_t child = fork();
  if (child == 0) {
    device.Ring(77, word);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  device.AwaitHeard(77, word);
}

void ResetsSilence(const Doorbells& device) {
  device.Ring(5, 1234);
  device.AwaitHeard(5, 1234);
  Require(ioctl(device.fd, VFIO_DEVICE_RESET) == 0, "RESET");
  Expect(device.rung[5] == 0, "doorbells are zero after a reset");
  usleep(5000);
  Expect(device.Heard(5) == 1234, "and that is not heard");
  device.Ring(5, 1234);
  usleep(5000);
  device.Ring(5, 99);
  device.AwaitHeard(5, 99);
}

}  // namespace

int main(int argc, char** argv) {
  const Doorbells device;
  if (argc > 2) {
    device.Ring(0, 1);
    device.AwaitHeard(0, 1);
    puts("mapped");
    fflush(stdout);
    sleep(static_cast<unsigned>(atoi(argv[2])));
    return 0;
  }
  RingsAreHeard(device);
  CallsComeAfterStores(device);
  WritesAreHeardAtOnce(device);
  VectorsFollow(device);
  ChildrenRing(device);
  ResetsSilence(device);
  puts("everything was heard");
}
