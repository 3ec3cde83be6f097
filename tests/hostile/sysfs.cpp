// Steps in /sys: drivers come and go, devices are removed and found again.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "hostile/thread.hpp"

namespace hostile {
namespace {

void Write(Thread& thread, const std::string& path, const std::string& text) {
  const int shortens = thread.dice.Percent(50) ? O_TRUNC : 0;  // as a shell does
  const int fd = static_cast<int>(thread.Call(
      Kind::kSysfsWrite, [&] { return open(path.c_str(), O_WRONLY | O_CLOEXEC | shortens); }));
  if (fd < 0) return;
  thread.Call(Kind::kSysfsWrite, [&] { return write(fd, text.data(), text.size()); });
  thread.Close(fd);
}

void Read(Thread& thread, const std::string& path) {
  const int fd = static_cast<int>(thread.Call(
      Kind::kSysfsRead, [&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  if (fd < 0) return;
  char text[4096];
  thread.Call(Kind::kSysfsRead, [&] {
    return pread(fd, text, 1 + thread.dice.Below(sizeof text),
                 static_cast<off_t>(thread.dice.Percent(80) ? 0 : thread.dice.Boundary()));
  });
  thread.Close(fd);
}

void List(Thread& thread, const std::string& path) {
  thread.Call(Kind::kSysfsRead, [&] {
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) return -1;
    while (readdir(directory) != nullptr) {
    }
    return closedir(directory);
  });
}

// As it was before: on the bus, with vfio-pci, and with virtual functions.
void Mend(Thread& thread, const std::string& address) {
  const World& world = thread.process.world;
  Write(thread, world.Pci("rescan"), "1");
  Write(thread, world.Pci("devices/" + address + "/driver_override"), "vfio-pci");
  Write(thread, world.Pci("drivers/vfio-pci/bind"), address);
  Write(thread, world.Pci("devices/" + address + "/sriov_numvfs"), "2");
}

std::string SomeText(Dice& dice, const std::string& address) {
  const std::string texts[] = {
      "",         "\n",   "0",       "1",         "-1",    "65536",     "vfio-pci",
      "pci-stub", "none", "flr bus", "1234 11e8", address, "1b36 0011", std::string(5000, 'x')};
  if (dice.Percent(85)) return texts[dice.Below(std::size(texts))];
  std::string text(dice.Below(300), 0);
  for (char& c : text) c = static_cast<char>(dice.Next());
  return text;
}

}  // namespace

void AccessSysfs(Thread& thread) {
  Dice& dice = thread.dice;
  const World& world = thread.process.world;
  const auto& functions = world.functions;
  const std::string& address = functions[dice.Below(functions.size())].address;
  const std::string device = world.Pci("devices/" + address);
  constexpr const char* kFiles[] = {
      "vendor",          "config", "resource",  "irq",          "class",           "rom",
      "resource0",       "uevent", "numa_node", "reset_method", "driver_override", "sriov_numvfs",
      "iommu_group/type"};
  constexpr const char* kWritten[] = {"reset",
                                      "reset_method",
                                      "driver_override",
                                      "enable",
                                      "sriov_numvfs",
                                      "sriov_drivers_autoprobe",
                                      "config",
                                      "rom",
                                      "broken_parity_status",
                                      "resource0",
                                      "iommu_group/type"};
  constexpr const char* kBus[] = {"rescan",
                                  "drivers_probe",
                                  "drivers_autoprobe",
                                  "drivers/vfio-pci/new_id",
                                  "drivers/vfio-pci/remove_id",
                                  "drivers/pci-stub/bind",
                                  "drivers/vfio-pci/bind"};
  switch (dice.Below(32)) {
    case 0:
      Write(thread, device + "/driver/unbind", address);
      Mend(thread, address);
      break;
    case 1:
      Write(thread, device + "/remove", "1");
      Mend(thread, address);
      break;
    case 2:
      Write(thread, world.Pci(dice.Pick(kBus)), SomeText(dice, address));
      break;
    case 3:
    case 4:
    case 5:
      Write(thread, device + "/" + dice.Pick(kWritten), SomeText(dice, address));
      break;
    case 6:
    case 7:
      Mend(thread, address);
      break;
    case 8:
      List(thread, dice.Percent(50) ? device : world.root + "/dev/vfio");
      break;
    case 9: {
      struct stat found {};
      const std::string path = device + "/nothing" + std::to_string(dice.Below(1000));
      thread.Call(Kind::kSysfsRead, [&] { return stat(path.c_str(), &found); });
      break;
    }
    default:
      Read(thread, device + "/" + dice.Pick(kFiles));
      break;
  }
}

}  // namespace hostile
