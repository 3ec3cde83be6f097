// What other system calls say of a container's, a group's and a device's descriptor, and of the
// file behind it. Those tagged [exact] hold on vfiolab with `run --exact` alone.
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <array>
#include <csignal>

#include "client.hpp"
#include "edu.hpp"

namespace {

std::array<int, 3> DescriptorsOf(const Client& client) {
  return {client.container, client.group, client.device};
}

// Opens the file of a descriptor anew.
Result Reopen(int fd) { return TryOpen("/proc/self/fd/" + std::to_string(fd)); }

// No client's address.
void* Kernel() { return reinterpret_cast<void*>(-kPage); }

// The file of a descriptor, but nothing may be done with it.
Fd OpenPath(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return Fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
}

struct Pipe {
  Fd out, in;
};

Pipe OpenPipe() {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

// A file of eight bytes, read from its beginning.
Fd OpenFile() {
  Fd file(::memfd_create("file", MFD_CLOEXEC));
  REQUIRE(::pwrite(file, "eight...", 8, 0) == 8);
  return file;
}

void SetMemory(int device, bool on) {
  const uint64_t command = RegionOffset(device, VFIO_PCI_CONFIG_REGION_INDEX) + 4;
  const uint16_t value = on ? 0x6 : 0x4;
  REQUIRE(Write(device, &value, 2, command) == 2);
}

}  // namespace

// ---- Opened anew ----

TEST_CASE("a container opened anew through /proc is another container", "[descriptor]") {
  Client client = OpenEdu();
  Result again = Reopen(client.container);
  REQUIRE(again.Ok());
  Fd other(static_cast<int>(again.Value()));
  CHECK(Ioctl(other, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == Errno{EINVAL});  // it has no group
  Pages memory(1);
  CHECK(Map(client.container, kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("a group is set into the one of two containers whose descriptor it is given",
          "[descriptor]") {
  Fd first = OpenContainer();
  Result again = Reopen(first);
  REQUIRE(again.Ok());
  Fd second(static_cast<int>(again.Value()));
  Fd copy(::dup(second));
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, copy) == 0);
  CHECK(Ioctl(first, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == Errno{EINVAL});
  CHECK(Ioctl(second, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(SetContainer(group, first) == Errno{EINVAL});
  REQUIRE(Ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  REQUIRE(SetContainer(group, first) == 0);
  CHECK(Ioctl(first, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
}

TEST_CASE("a group opened anew through /proc is EBUSY, a device ENXIO", "[descriptor]") {
  Client client = OpenEdu();
  CHECK(Reopen(client.group) == Errno{EBUSY});
  CHECK(Reopen(client.device) == Errno{ENXIO});
}

// ---- Mode and owner ----

TEST_CASE("a group's node takes another mode and owner; a device has neither", "[descriptor]") {
  const std::string path = GroupPath(Edu());
  struct stat before {
  }, now{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  CHECK(Result::Of(::chmod(path.c_str(), 0666)) == 0);
  CHECK(Result::Of(::chown(path.c_str(), 1000, 1001)) == 0);
  REQUIRE(::stat(path.c_str(), &now) == 0);
  CHECK((now.st_mode & 07777) == 0666);
  CHECK(now.st_uid == 1000);
  CHECK(now.st_gid == 1001);
  CHECK(Result::Of(::chmod(path.c_str(), 0640)) == 0);
  Fd group = OpenGroup(Edu());
  CHECK(Result::Of(::fchmod(group, 0604)) == 0);
  REQUIRE(::stat(path.c_str(), &now) == 0);
  CHECK((now.st_mode & 07777) == 0604);
  CHECK(Result::Of(::chmod(path.c_str(), 0666)) == 0);
  REQUIRE(::fstat(group, &now) == 0);
  CHECK((now.st_mode & 07777) == 0666);
  group.Close();
  CHECK(Result::Of(::chmod(path.c_str(), before.st_mode & 07777)) == 0);
  CHECK(Result::Of(::chown(path.c_str(), before.st_uid, before.st_gid)) == 0);
  Client client = OpenEdu();
  CHECK(Result::Of(::fchmod(client.device, 0600)) == Errno{EOPNOTSUPP});
}

// ---- Reads and writes at the file's position ----

TEST_CASE("read() and write() of a container and a group refuse before they look at the buffer",
          "[descriptor][exact]") {
  Client client = OpenEdu();
  for (int fd : {static_cast<int>(client.container), static_cast<int>(client.group)}) {
    CHECK(Result::Of(::read(fd, Nowhere(), 4)) == Errno{EINVAL});
    CHECK(Result::Of(::write(fd, Nowhere(), 4)) == Errno{EINVAL});
    CHECK(Result::Of(::read(fd, Kernel(), 4)) == Errno{EINVAL});
    CHECK(Result::Of(::pread(fd, Kernel(), 4, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::readv(fd, static_cast<iovec*>(Nowhere()), 1)) == Errno{EINVAL});
    CHECK(Result::Of(::readv(fd, static_cast<iovec*>(Nowhere()), 0)) == Errno{EINVAL});
    uint8_t byte = 0;
    const iovec part{&byte, 1};
    CHECK(Result::Of(::preadv2(fd, &part, 1, 0, RWF_NOWAIT)) == Errno{EINVAL});
    CHECK(Result::Of(::pwritev2(fd, &part, 1, -1, RWF_APPEND)) == Errno{EINVAL});
  }
}

TEST_CASE("with memory disabled read() is EIO whatever the buffer, and write() looks at it first",
          "[descriptor][exact]") {
  Client client = OpenEdu();
  SetMemory(client.device, false);
  CHECK(Result::Of(::read(client.device, Nowhere(), 4)) == Errno{EIO});
  CHECK(Result::Of(::write(client.device, Nowhere(), 4)) == Errno{EFAULT});
  SetMemory(client.device, true);
  CHECK(Result::Of(::read(client.device, Nowhere(), 4)) == Errno{EFAULT});
}

TEST_CASE("a buffer of which a part is there is EFAULT, and leaves the position",
          "[descriptor][exact]") {
  Client client = OpenEdu();
  Pages memory(2);
  memory.Protect(1, PROT_NONE);
  uint8_t* const half = memory.Data() + kPage - 8;
  std::memset(half, 0x55, 8);
  CHECK(Result::Of(::read(client.device, half, 16)) == Errno{EFAULT});
  CHECK(half[0] != 0x55);  // what was there has been filled
  uint32_t id = 0;
  REQUIRE(Result::Of(::read(client.device, &id, 4)) == 4);
  CHECK((id & 0xffff) == 0x00ed);
}

TEST_CASE("the parts of a readv() are accesses of their own", "[descriptor][exact]") {
  Client client = OpenEdu();
  uint32_t liveness = 0x01020304;
  WriteRegister(client.device, kEduLiveness, liveness);
  uint8_t parts[8]{};
  uint32_t last = 0;
  // edu answers an access of less than four bytes with zeros.
  const iovec vector[]{{parts, 2}, {parts + 2, 2}, {&last, 4}};
  CHECK(Result::Of(::readv(client.device, vector, 3)) == 8);
  CHECK(parts[0] == 0);
  CHECK(last == ~liveness);
  CHECK(Result::Of(::preadv2(client.device, vector, 0, -1, 0)) == 0);
  // The position has moved on.
  CHECK(Result::Of(::read(client.device, &last, 4)) == 4);
  CHECK(last != ~liveness);
}

TEST_CASE("a blocking read of another file is still ended by a signal", "[descriptor][exact]") {
  Pipe pipe = OpenPipe();
  struct sigaction action {};
  action.sa_handler = [](int) {};  // and no SA_RESTART
  struct sigaction before {};
  ::sigaction(SIGALRM, &action, &before);
  const itimerval soon{{0, 20'000}, {0, 20'000}}, never{};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  char byte = 0;
  CHECK(Result::Of(::read(pipe.out, &byte, 1)) == Errno{EINTR});
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
}

// ---- 32-bit programs ----

TEST_CASE("a 32-bit system call gets a device's descriptor, and uses it", "[descriptor][32-bit]") {
  Domain domain = OpenDomain(Edu());
  Pages memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT);
  std::memcpy(memory.Data(), Edu().c_str(), Edu().size() + 1);
  const auto ioctl32 = [&](int fd, unsigned command) {
    constexpr long kIoctl = 54;  // of i386
    long result = 0;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(kIoctl), "b"(fd), "c"(command), "d"(memory.Data())
                 : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(result);
  };
  Fd device(ioctl32(domain.group, VFIO_GROUP_GET_DEVICE_FD));
  REQUIRE(device >= 0);
  vfio_device_info info{};
  info.argsz = sizeof info;
  std::memcpy(memory.Data(), &info, sizeof info);
  REQUIRE(ioctl32(device, VFIO_DEVICE_GET_INFO) == 0);
  std::memcpy(&info, memory.Data(), sizeof info);
  CHECK(info.num_regions == 9);
  CHECK(ioctl32(-1, VFIO_GROUP_GET_DEVICE_FD) == -EBADF);
}

// ---- What is done to regular files ----

TEST_CASE("there is nothing to flush, to cut and to reserve", "[descriptor][exact]") {
  Client client = OpenEdu();
  for (int fd : DescriptorsOf(client)) {
    CHECK(Result::Of(::fsync(fd)) == Errno{EINVAL});
    CHECK(Result::Of(::fdatasync(fd)) == Errno{EINVAL});
    CHECK(Result::Of(::ftruncate(fd, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::fallocate(fd, 0, 0, 1)) == Errno{ENODEV});
    CHECK(Result::Of(::fallocate(fd, 0, 0, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 1)) == Errno{ENODEV});
    CHECK(Result::Of(::fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 1)) == Errno{ENODEV});
    CHECK(Result::Of(::fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1)) == Errno{EOPNOTSUPP});
    CHECK(Result::Of(::readahead(fd, 0, 1)) == Errno{EINVAL});
    CHECK(Result::Of(::sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE)) == Errno{ESPIPE});
    CHECK(Result::Of(::sync_file_range(fd, 0, 1, 0x100)) == Errno{EINVAL});
  }
}

TEST_CASE("epoll does not take them", "[descriptor][exact]") {
  Client client = OpenEdu();
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  for (int fd : DescriptorsOf(client)) {
    CHECK(Result::Of(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) == Errno{EPERM});
    CHECK(Result::Of(::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr)) == Errno{EPERM});
    CHECK(Result::Of(::epoll_ctl(-1, EPOLL_CTL_ADD, fd, &event)) == Errno{EBADF});
    CHECK(Result::Of(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, static_cast<epoll_event*>(Nowhere()))) ==
          Errno{EFAULT});
  }
}

TEST_CASE("nothing is copied between them and other files", "[descriptor][exact]") {
  Client client = OpenEdu();
  Pipe pipe = OpenPipe();
  REQUIRE(::write(pipe.in, "12345678", 8) == 8);
  Fd file = OpenFile();
  for (int fd : DescriptorsOf(client)) {
    CHECK(Result::Of(::splice(fd, nullptr, pipe.in, nullptr, 4, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::splice(pipe.out, nullptr, fd, nullptr, 4, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::sendfile(pipe.in, fd, nullptr, 4)) == Errno{EINVAL});
    CHECK(Result::Of(::sendfile(fd, file, nullptr, 4)) == Errno{EINVAL});
    CHECK(Result::Of(::copy_file_range(fd, nullptr, file, nullptr, 4, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::copy_file_range(file, nullptr, fd, nullptr, 4, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::sendfile(-1, fd, nullptr, 4)) == Errno{EBADF});
    CHECK(Result::Of(::sendfile(fd, fd, nullptr, 4)) == Errno{EINVAL});
  }
}

TEST_CASE("a copy of nothing is 0, and a bad offset is told first", "[descriptor][exact]") {
  Client client = OpenEdu();
  Pipe pipe = OpenPipe();
  Fd file = OpenFile();
  off_t end = 8;
  loff_t offset = 0;
  loff_t* const nowhere = static_cast<loff_t*>(Nowhere());
  for (int fd : DescriptorsOf(client)) {
    CHECK(Result::Of(::splice(fd, nullptr, pipe.in, nullptr, 0, 0)) == 0);
    CHECK(Result::Of(::splice(fd, nullptr, pipe.in, &offset, 4, 0)) == Errno{ESPIPE});
    CHECK(Result::Of(::splice(fd, nowhere, pipe.in, nullptr, 4, 0)) == Errno{EFAULT});
    CHECK(Result::Of(::sendfile(pipe.in, fd, nullptr, 0)) == 0);
    CHECK(Result::Of(::sendfile(file, fd, nullptr, 0)) == Errno{EINVAL});
    CHECK(Result::Of(::sendfile(fd, file, nullptr, 0)) == 0);
    CHECK(Result::Of(::sendfile(fd, file, &end, 4)) == 0);
    CHECK(Result::Of(::sendfile(pipe.in, fd, nowhere, 4)) == Errno{EFAULT});
    CHECK(Result::Of(::copy_file_range(fd, nowhere, file, nullptr, 4, 0)) == Errno{EFAULT});
    CHECK(Result::Of(::copy_file_range(fd, nullptr, file, nullptr, 0, 0)) == Errno{EINVAL});
  }
}

TEST_CASE("of a path alone nothing can be asked", "[descriptor][exact]") {
  Client client = OpenEdu();
  Fd path = OpenPath(client.group);
  CHECK(GetDeviceFd(path, Edu()) == Errno{EBADF});
  CHECK(Result::Of(::lseek(path, 0, SEEK_SET)) == Errno{EBADF});
  CHECK(Result::Of(::fsync(path)) == Errno{EBADF});
  CHECK(Result::Of(::fcntl(path, F_SETFL, O_DIRECT)) == Errno{EBADF});
  client.device.Close();
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(SetContainer(client.group, OpenPath(client.container)) == Errno{EBADF});
}

TEST_CASE("commands of other drivers are unknown, whatever their argument", "[descriptor][exact]") {
  Client client = OpenEdu();
  for (int fd : DescriptorsOf(client)) {
    CHECK(Ioctl(fd, _IOW('Z', 1, int[4]), Nowhere()) == Errno{ENOTTY});
    CHECK(Ioctl(fd, _IOR('Z', 1, int[4]), Nowhere()) == Errno{ENOTTY});
    CHECK(Ioctl(fd, FIONREAD, Nowhere()) == Errno{ENOTTY});
    CHECK(Ioctl(fd, FIOQSIZE, Nowhere()) == Errno{ENOTTY});
  }
}

TEST_CASE("they have the flags of a device", "[descriptor][exact]") {
  Client client = OpenEdu();
  for (int fd : DescriptorsOf(client)) {
    CHECK(Result::Of(::fcntl(fd, F_SETFL, O_DIRECT)) == Errno{EINVAL});
    CHECK(Result::Of(::fcntl(fd, F_SETLEASE, F_RDLCK)) == Errno{EINVAL});
    CHECK(Result::Of(::fcntl(fd, F_SETFL, O_NONBLOCK)) == 0);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  }
  CHECK(Result::Of(::fcntl(client.device, F_GETFL)) == (O_RDWR | O_NONBLOCK));
}
