// What calls cost over libvfio-user, of which the program is linked with somebody's build: a device
// in a child, and a client of its protocol. Prints lines "WHAT NANOSECONDS".
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/measure.hpp"

// Its headers are of C.
#define _Static_assert static_assert
extern "C" {
#include <libvfio-user.h>
#include <vfio-user.h>
}

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(1);
}

uint32_t word;

ssize_t Access(vfu_ctx_t*, char* bytes, size_t count, loff_t, bool is_write) {
  if (is_write)
    std::memcpy(&word, bytes, count);
  else
    std::memcpy(bytes, &word, count);
  return static_cast<ssize_t>(count);
}

[[noreturn]] void Serve(const std::string& path) {
  vfu_ctx_t* device = vfu_create_ctx(VFU_TRANS_SOCK, path.c_str(), 0, nullptr, VFU_DEV_TYPE_PCI);
  Require(device != nullptr, "vfu_create_ctx");
  Require(vfu_pci_init(device, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0) == 0,
          "vfu_pci_init");
  Require(vfu_setup_region(device, VFU_PCI_DEV_BAR0_REGION_IDX, 4096, Access,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, nullptr, 0, -1, 0) == 0,
          "vfu_setup_region");
  Require(
      vfu_setup_device_dma(
          device, 16, [](vfu_ctx_t*, vfu_dma_info_t*) {}, [](vfu_ctx_t*, vfu_dma_info_t*) {}) == 0,
      "vfu_setup_device_dma");
  Require(vfu_realize_ctx(device) == 0 && vfu_attach_ctx(device) == 0, "vfu_attach_ctx");
  while (vfu_run_ctx(device) >= 0) continue;
  std::_Exit(0);
}

class Client {
 public:
  explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    for (int i = 0; i < 1000; ++i) {
      if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
      ::usleep(1000);
    }
    char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8}}";
    Call(VFIO_USER_VERSION, version, sizeof version);
  }

  // The descriptor goes with the message.
  void Call(uint16_t command, const void* payload, size_t size, int fd = -1) {
    vfio_user_header header{.msg_id = ++id_,
                            .cmd = command,
                            .msg_size = static_cast<uint32_t>(sizeof header + size),
                            .flags = VFIO_USER_F_TYPE_COMMAND,
                            .error_no = 0};
    iovec parts[] = {{&header, sizeof header}, {const_cast<void*>(payload), size}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    Require(::sendmsg(socket_, &message, 0) > 0, "sendmsg");
    Require(::recv(socket_, &header, sizeof header, MSG_WAITALL) == sizeof header, "recv");
    Require((header.flags & VFIO_USER_F_ERROR) == 0, "an answer");
    answer_.resize(header.msg_size - sizeof header);
    if (!answer_.empty())
      Require(::recv(socket_, answer_.data(), answer_.size(), MSG_WAITALL) > 0, "recv");
  }

 private:
  int socket_;
  uint16_t id_ = 0;
  std::vector<char> answer_;
};

}  // namespace

int main() {
  const std::string path = "/tmp/vfiolab-bench." + std::to_string(::getpid());
  const pid_t server = ::fork();
  if (server == 0) Serve(path);
  Client client(path);
  const vfio_user_device_info info{sizeof info, 0, 0, 0};
  std::printf("info %.0f\n", MedianNanoseconds(2000, [&] {
                client.Call(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info);
              }));
  const vfio_user_region_access read{0, VFU_PCI_DEV_CFG_REGION_IDX, 4};
  std::printf("config %.0f\n", MedianNanoseconds(2000, [&] {
                client.Call(VFIO_USER_REGION_READ, &read, sizeof read);
              }));
  const int memory = ::memfd_create("bench", MFD_CLOEXEC);
  Require(::ftruncate(memory, 4096) == 0, "ftruncate");
  const vfio_user_dma_map map{
      sizeof map, VFIO_USER_F_DMA_REGION_READ | VFIO_USER_F_DMA_REGION_WRITE, 0, 0x10000, 4096};
  const vfio_user_dma_unmap unmap{sizeof unmap, 0, 0x10000, 4096};
  std::printf("map %.0f\n", MedianNanoseconds(500, [&] {
                client.Call(VFIO_USER_DMA_MAP, &map, sizeof map, memory);
                client.Call(VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap);
              }));
  ::kill(server, SIGKILL);
  ::unlink(path.c_str());
}
