// What the C library does by itself, past the functions that a program calls: files, directories
// and links of an emulated machine (topologies/two-groups.json) by all of its ways.
//
//   e2e_libc            or, where the nodes are character devices,
//   e2e_libc nodes
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace {

const std::string kDevices = "/sys/bus/pci/devices";
const std::string kEdu = kDevices + "/0000:01:00.0";
const std::set<std::string> kBoth{"0000:01:00.0", "0000:02:00.0"};

void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

std::set<std::string> Names(DIR* directory) {
  Require(directory != nullptr, "opendir");
  std::set<std::string> names;
  while (const dirent* entry = readdir(directory))
    if (entry->d_name[0] != '.') names.insert(entry->d_name);
  closedir(directory);
  return names;
}

void Files() {
  char text[64] = {};
  FILE* file = fopen((kEdu + "/vendor").c_str(), "r");
  Require(file != nullptr && fgets(text, sizeof text, file) != nullptr, "fopen");
  Require(std::string(text) == "0x1234\n", "what fopen's file says");
  rewind(file);
  unsigned vendor = 0;
  Require(fscanf(file, "%x", &vendor) == 1 && vendor == 0x1234, "fscanf");
  Require(fclose(file) == 0, "fclose");
  const int fd = open((kEdu + "/device").c_str(), O_RDONLY);
  FILE* of_fd = fdopen(fd, "r");
  Require(of_fd != nullptr && fgets(text, sizeof text, of_fd) != nullptr &&
              std::string(text) == "0x11e8\n",
          "fdopen");
  fclose(of_fd);
  std::string line;
  Require(
      static_cast<bool>(std::getline(std::ifstream(kEdu + "/class"), line)) && line == "0x00ff00",
      "ifstream");
  // Written, too.
  FILE* override = fopen((kEdu + "/driver_override").c_str(), "w");
  Require(override != nullptr && fputs("nobody", override) >= 0 && fclose(override) == 0, "fputs");
  Require(static_cast<bool>(std::getline(std::ifstream(kEdu + "/driver_override"), line)) &&
              line == "nobody",
          "what fputs has written");
  Require(fopen((kEdu + "/nothing").c_str(), "r") == nullptr && errno == ENOENT, "no such file");
}

void Directories() {
  Require(Names(opendir(kDevices.c_str())) == kBoth, "opendir");
  const int fd = open(kDevices.c_str(), O_RDONLY | O_DIRECTORY);
  const int device = openat(fd, "0000:01:00.0/vendor", O_RDONLY);
  char text[64] = {};
  Require(device >= 0 && read(device, text, sizeof text) == 7 && std::string(text) == "0x1234\n",
          "openat");
  struct stat found {};
  Require(fstatat(fd, "0000:01:00.0", &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(found.st_mode),
          "fstatat");
  char target[PATH_MAX] = {};
  Require(readlinkat(fd, "0000:01:00.0", target, sizeof target) > 0 &&
              std::string(target).ends_with("0000:01:00.0"),
          "readlinkat");
  Require(Names(fdopendir(fd)) == kBoth, "fdopendir");
  dirent** names = nullptr;
  const int count = scandir(
      kDevices.c_str(), &names, [](const dirent* entry) { return entry->d_name[0] == '0' ? 1 : 0; },
      alphasort);
  Require(count == 2 && std::string(names[0]->d_name) == "0000:01:00.0", "scandir");
  std::set<std::string> iterated;
  for (const auto& entry : std::filesystem::directory_iterator(kDevices))
    iterated.insert(entry.path().filename());
  Require(iterated == kBoth, "directory_iterator");
  Require(Names(opendir("/sys/bus")).contains("pci"), "/sys/bus");
  Require(Names(opendir("/sys/kernel/iommu_groups")) == std::set<std::string>{"1", "2"}, "groups");
}

void Paths() {
  glob_t found{};
  Require(glob("/sys/bus/pci/devices/*/vendor", 0, nullptr, &found) == 0 && found.gl_pathc == 2 &&
              found.gl_pathv[0] == kEdu + "/vendor",
          "glob");
  globfree(&found);
  Require(glob("/sys/kernel/iommu_groups/[0-9]/devices/0000:0?:00.0", 0, nullptr, &found) == 0 &&
              found.gl_pathc == 2,
          "glob of groups");
  globfree(&found);
  char resolved[PATH_MAX] = {};
  Require(realpath((kEdu + "/iommu_group").c_str(), resolved) != nullptr &&
              std::string(resolved) == "/sys/kernel/iommu_groups/1",
          "realpath");
  Require(std::filesystem::canonical(kEdu + "/../0000:01:00.0/iommu_group") ==
              "/sys/kernel/iommu_groups/1",
          "canonical");
  Require(access((kEdu + "/config").c_str(), F_OK) == 0, "access");
  Require(access("/dev/vfio/77", F_OK) != 0 && errno == ENOENT, "access of nothing");
}

void Nodes() {
  struct stat found_node {};
  Require(stat("/dev/vfio/vfio", &found_node) == 0 && S_ISCHR(found_node.st_mode) &&
              found_node.st_rdev == makedev(10, 196),
          "the container is a character device");
  Require(stat("/dev/vfio/1", &found_node) == 0 && S_ISCHR(found_node.st_mode), "so is a group");
  unsigned major_number = 0, minor_number = 0;
  FILE* number = fopen("/sys/class/vfio/1/dev", "r");
  Require(number != nullptr && fscanf(number, "%u:%u", &major_number, &minor_number) == 2, "dev");
  fclose(number);
  Require(found_node.st_rdev == makedev(major_number, minor_number), "with the number of /sys");
}

void WorkingDirectory() {
  Require(chdir("/sys/bus/pci") == 0 && access("devices/0000:01:00.0", F_OK) == 0, "chdir");
  char where[PATH_MAX] = {};
  Require(getcwd(where, sizeof where) != nullptr && std::string(where) == "/sys/bus/pci", "getcwd");
  Require(Names(opendir("devices")) == kBoth, "opendir from there");
  Require(chdir("/") == 0 && access("devices", F_OK) != 0, "chdir away");
}

}  // namespace

int main(int argc, char**) {
  Files();
  Directories();
  Paths();
  WorkingDirectory();
  if (argc > 1) Nodes();
  puts("as it should be");
  return 0;
}
