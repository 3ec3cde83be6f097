#include "launcher/in_process.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/trace.hpp"
#include "base/unique_fd.hpp"
#include "launcher/commands.hpp"
#include "launcher/load.hpp"

namespace vfiolab::launcher {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPreloaded = "libvfiolab-preload.so";

Result<fs::path> FindPreloaded() {
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {own, own / "../lib", own / VFIOLAB_LIBDIR})
    if (fs::exists(place / kPreloaded, error)) return fs::canonical(place / kPreloaded, error);
  return Fail(ENOENT, fmt::format("{} is neither beside {} nor where it is installed", kPreloaded,
                                  own.string()));
}

// As execvp finds it; as it is where it does not.
std::string InPath(const std::string& command) {
  if (command.find('/') != command.npos) return command;
  const char* path = ::getenv("PATH");
  for (std::string_view left = path == nullptr ? "/bin:/usr/bin" : path; !left.empty();) {
    const std::size_t colon = left.find(':');
    const std::string candidate = std::string(left.substr(0, colon)) + "/" + command;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    left.remove_prefix(colon == left.npos ? left.size() : colon + 1);
  }
  return command;
}

// A directory as long as this lives.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* place = ::getenv("TMPDIR");
    path_ = fmt::format("{}/vfiolab.XXXXXX", place == nullptr ? "/tmp" : place);
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

[[noreturn]] void RunClient(const RunOptions& options, const std::string& preloaded,
                            const std::string& mirror) {
  const char* others = ::getenv("LD_PRELOAD");
  // A program with AddressSanitizer insists on being first, where nobody tells it otherwise.
  const char* of_asan = ::getenv("ASAN_OPTIONS");
  const std::string asan = fmt::format("{}verify_asan_link_order=0",
                                       of_asan == nullptr ? "" : of_asan + std::string(":"));
  ::setenv("ASAN_OPTIONS", asan.c_str(), 1);
  const std::string all = others == nullptr ? preloaded : preloaded + ":" + others;
  std::error_code error;
  ::setenv("LD_PRELOAD", all.c_str(), 1);
  ::setenv("VFIOLAB_TOPOLOGY", fs::absolute(options.topology, error).c_str(), 1);
  ::setenv("VFIOLAB_MIRROR", mirror.c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& word : options.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  fmt::print(stderr, "vfiolab: cannot run {}: {}\n", options.command[0], std::strerror(errno));
  ::_exit(errno == ENOENT ? 127 : 126);
}

}  // namespace

bool IsStatic(const std::string& program) {
  const UniqueFd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
  Elf64_Ehdr header{};
  if (!file || ::pread(file.get(), &header, sizeof header, 0) != sizeof header ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return false;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof part);
    if (::pread(file.get(), &part, sizeof part, at) != sizeof part) return false;
    if (part.p_type == PT_INTERP) return false;
  }
  return true;
}

int RunInProcess(const RunOptions& options) {
  if (!LoadOrComplain(options.topology)) return kBadTopology;
  const auto preloaded = FindPreloaded();
  if (!preloaded) return Complain(preloaded.error());
  const std::string program = InPath(options.command[0]);
  if (IsStatic(program))
    return Complain({ENOEXEC,
                     fmt::format("{} is linked statically: nothing can be put in front of its C "
                                 "library; run it without --in-process",
                                 program),
                     {}},
                    126);
  const TemporaryDirectory mirror;
  if (mirror.path().empty()) return Complain({errno, "no directory can be made in TMPDIR", {}});
  const pid_t client = ::fork();
  if (client == 0) RunClient(options, *preloaded, mirror.path());
  for (const int signal : {SIGINT, SIGQUIT})
    ::signal(signal, SIG_IGN);  // the client gets them, too
  int status = 0;
  while (::waitpid(client, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace vfiolab::launcher
