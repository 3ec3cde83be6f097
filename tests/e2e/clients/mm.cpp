// DMA and the memory it goes to, when the process that mapped it changes or ends. Each ends with 0
// when what it says holds; whether a fault was recorded is for the caller to see.
//
//   e2e_mm exec       the process executes itself while a transfer is under way
//   e2e_mm exit       the process ends; a child that has its descriptors starts a transfer
//   e2e_mm fork       a child starts a transfer: it goes to the parent, who mapped the memory
//   e2e_mm memfd      shared memory: every mapping of it sees the transfer
//   e2e_mm truncate   shared memory that loses its pages
//   e2e_mm munmap     memory that is not there any more
#include <sys/wait.h>

#include "client.hpp"

constexpr uint32_t kIova = 0x100000, kCount = 256;
// Where the memory is mapped, so that another image can have memory of its own there.
static void* const kPlace = reinterpret_cast<void*>(0x7e0000000000);

static uint8_t* MapAtPlace() {
  void* memory = mmap(kPlace, kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  Require(memory == kPlace, "mmap at a chosen address");
  return static_cast<uint8_t*>(memory);
}

static bool Holds(const uint8_t* memory, uint8_t value) {
  for (uint32_t i = 0; i < kCount; i++)
    if (memory[i] != value) return false;
  return true;
}

// The device's buffer gets kCount times `value`; the memory is then zero.
static void FillDevice(const Edu& edu, uint8_t* memory, uint8_t value) {
  memset(memory, value, kCount);
  edu.ToDevice(kIova, kCount);
  memset(memory, 0, kCount);
}

static void KeepOverExec(int fd) { Require(fcntl(fd, F_SETFD, 0) == 0, "F_SETFD"); }

static void Exec() {
  Edu edu;
  uint8_t* memory = MapAtPlace();
  edu.Map(memory, kIova, kPage);
  FillDevice(edu, memory, 0xaa);
  for (int fd : {edu.container, edu.group, edu.fd}) KeepOverExec(fd);
  const std::string device = std::to_string(edu.fd), bar = std::to_string(edu.bar);
  edu.StartDma(Edu::kBuffer, kIova, kCount, Edu::kToMemory);
  execl("/proc/self/exe", "e2e_mm", "after-exec", device.c_str(), bar.c_str(), nullptr);
  Fail("exec");
}

static void AfterExec(int device, off_t bar) {
  uint8_t* memory = MapAtPlace();
  uint32_t command = 1;
  for (int i = 0; i < 1000 && (command & 1); i++) {
    usleep(5000);
    Require(pread(device, &command, 4, bar + Edu::kCommand) == 4, "read of a register after exec");
  }
  Expect((command & 1) == 0, "the transfer ends");
  Expect(Holds(memory, 0), "the new image's memory is untouched");
}

static void Exit() {
  int verdict[2];
  Require(pipe(verdict) == 0, "pipe");
  const pid_t mapper = fork();
  if (mapper == 0) {
    Edu edu;
    uint8_t* memory = MapAtPlace();
    edu.Map(memory, kIova, kPage);
    FillDevice(edu, memory, 0xaa);
    const pid_t self = getpid();
    if (fork() != 0) _exit(0);
    while (getppid() == self) usleep(1000);
    edu.ToMemory(kIova, kCount);
    const char untouched = Holds(memory, 0) ? 'y' : 'n';
    Require(write(verdict[1], &untouched, 1) == 1, "write");
    _exit(0);
  }
  close(verdict[1]);
  Require(waitpid(mapper, nullptr, 0) == mapper, "waitpid");
  char untouched = 0;
  Expect(read(verdict[0], &untouched, 1) == 1, "the child comes to an end");
  Expect(untouched == 'y', "the child's memory is untouched");
}

static void Fork() {
  Edu edu;
  uint8_t* memory = MapAtPlace();
  edu.Map(memory, kIova, kPage);
  FillDevice(edu, memory, 0xaa);
  const pid_t child = fork();
  if (child == 0) {
    edu.ToMemory(kIova, kCount);
    Expect(Holds(memory, 0), "the child's copy of the memory is untouched");
    // What the child maps is the child's.
    uint8_t* own = MapMemory(kPage);
    edu.Map(own, 2 * kIova, kPage);
    edu.ToMemory(2 * kIova, kCount);
    Expect(Holds(own, 0xaa), "memory that the child mapped gets the transfer");
    fflush(stdout);
    _exit(0);
  }
  int status = 1;
  Require(waitpid(child, &status, 0) == child, "waitpid");
  Expect(status == 0, "the child is content");
  Expect(Holds(memory, 0xaa), "the parent's memory has got the transfer");
  memset(memory, 0x33, kCount);
  edu.ToDevice(kIova, kCount);
  memset(memory, 0, kCount);
  edu.ToMemory(kIova, kCount);
  Expect(Holds(memory, 0x33), "the parent's memory is in reach after the child ended");
}

static void Memfd(bool truncate) {
  Edu edu;
  const int fd = memfd_create("e2e", MFD_CLOEXEC);
  Require(fd >= 0 && ftruncate(fd, 4 * kPage) == 0, "memfd");
  uint8_t* memory = MapMemory(4 * kPage, MAP_SHARED, fd);
  uint8_t* other = MapMemory(4 * kPage, MAP_SHARED, fd);
  edu.Map(memory, kIova, 4 * kPage);
  FillDevice(edu, memory, 0xaa);
  // Across a border of pages.
  edu.ToMemory(kIova + kPage - kCount / 2, kCount);
  Expect(Holds(other + kPage - kCount / 2, 0xaa), "another mapping sees what the device wrote");
  memset(other, 0x77, kCount);
  edu.ToDevice(kIova, kCount);
  edu.ToMemory(kIova + 2 * kPage, kCount);
  Expect(Holds(memory + 2 * kPage, 0x77), "the device sees what was written by another mapping");
  if (!truncate) return;
  Require(ftruncate(fd, 0) == 0, "ftruncate");
  edu.ToMemory(kIova, kCount);
  edu.ToDevice(kIova, kCount);
  Require(ftruncate(fd, 4 * kPage) == 0, "ftruncate");
  memset(memory, 0x11, kCount);
  // Pinned pages would be the old ones; here either is right, as long as somebody answers.
  edu.ToDevice(kIova, kCount);
  // In the middle of a transfer, again and again.
  for (int i = 0; i < 5; i++) {
    edu.StartDma(Edu::kBuffer, kIova, 2048, Edu::kToMemory);
    for (const auto start = Clock::now(); SecondsSince(start) < 0.15;)
      Require(ftruncate(fd, 0) == 0 && ftruncate(fd, 4 * kPage) == 0, "ftruncate");
    edu.FinishDma();
  }
  Expect((edu.Read(0) & 0xffff) == 0x00ed, "the device answers");
}

static void Munmap() {
  Edu edu;
  uint8_t* memory = MapAtPlace();
  edu.Map(memory, kIova, kPage);
  FillDevice(edu, memory, 0xaa);
  Require(munmap(memory, kPage) == 0, "munmap");
  edu.ToMemory(kIova, kCount);
  edu.Unmap(kIova, kPage);
  Expect(edu.TryMap(kPlace, kIova, kPage) == -1 && errno == EFAULT,
         "MAP_DMA of memory that is not there is EFAULT");
  memory = MapAtPlace();
  edu.Map(memory, kIova, kPage);
  edu.ToMemory(kIova, kCount);
  Expect(Holds(memory, 0xaa), "new memory at the old place gets the transfer once it is mapped");
}

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "exec")
    Exec();
  else if (what == "after-exec" && argc > 3)
    AfterExec(atoi(argv[2]), static_cast<off_t>(atoll(argv[3])));
  else if (what == "exit")
    Exit();
  else if (what == "fork")
    Fork();
  else if (what == "memfd")
    Memfd(false);
  else if (what == "truncate")
    Memfd(true);
  else if (what == "munmap")
    Munmap();
  else
    return 2;
}
