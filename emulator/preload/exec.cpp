// A program that is linked statically would not find the machine: it is refused.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdarg.h>
#include <unistd.h>

#include <vector>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"
#include "process/program.hpp"

using namespace vfiolab::preload;

namespace {

// valgrind is its own loader of the program and what is preloaded.
bool LoadsByItself(const std::string& program) {
  return program.find("/valgrind/") != program.npos;
}

bool IsRefused(const std::string& program) {
  if (Host::Topology() == nullptr || LoadsByItself(program) || !vfiolab::IsStatic(program))
    return false;
  fmt::print(stderr,
             "vfiolab: {} is linked statically, and would not find the machine: use run without "
             "--in-process\n",
             program);
  errno = ENOEXEC;
  return true;
}

// `exec` puts the program in the place of this one.
template <class Exec>
int Start(const std::string& program, Exec exec) {
  if (IsRefused(program)) return -1;
  if (Host::Topology() == nullptr) return exec();
  Host::BeforeExec();
  if (::access(program.c_str(), X_OK) == 0) Host::BeforeEnd();
  const int result = exec();
  const int error = errno;
  Host::AfterAll();
  errno = error;
  return result;
}

// `spawn` starts the program beside this one.
template <class Spawn>
int StartBeside(const std::string& program, Spawn spawn) {
  if (IsRefused(program)) return ENOEXEC;
  if (Host::Topology() != nullptr) Host::BeforeExec();
  return spawn();
}

// The words of a call that ends with a null, as a list.
std::vector<char*> Words(const char* first, va_list& rest) {
  std::vector<char*> words{const_cast<char*>(first)};
  while (words.back() != nullptr) words.push_back(va_arg(rest, char*));
  return words;
}

}  // namespace

VFIOLAB_INTERPOSED int execve(const char* path, char* const words[],
                              char* const environment[]) noexcept {
  return Start(path, [&] { return real(execve)(path, words, environment); });
}
VFIOLAB_INTERPOSED int execv(const char* path, char* const words[]) noexcept {
  return Start(path, [&] { return real(execv)(path, words); });
}
VFIOLAB_INTERPOSED int execvpe(const char* command, char* const words[],
                               char* const environment[]) noexcept {
  return Start(vfiolab::FindProgram(command),
               [&] { return real(execvpe)(command, words, environment); });
}
VFIOLAB_INTERPOSED int execvp(const char* command, char* const words[]) noexcept {
  return Start(vfiolab::FindProgram(command), [&] { return real(execvp)(command, words); });
}
VFIOLAB_INTERPOSED int execl(const char* path, const char* first, ...) noexcept {
  va_list rest;
  va_start(rest, first);
  const auto words = Words(first, rest);
  va_end(rest);
  return ::execv(path, words.data());
}
VFIOLAB_INTERPOSED int execlp(const char* command, const char* first, ...) noexcept {
  va_list rest;
  va_start(rest, first);
  const auto words = Words(first, rest);
  va_end(rest);
  return ::execvp(command, words.data());
}
VFIOLAB_INTERPOSED int execle(const char* path, const char* first, ...) noexcept {
  va_list rest;
  va_start(rest, first);
  const auto words = Words(first, rest);
  char* const* environment = va_arg(rest, char* const*);
  va_end(rest);
  return ::execve(path, words.data(), environment);
}

VFIOLAB_INTERPOSED int posix_spawn(pid_t* pid, const char* path,
                                   const posix_spawn_file_actions_t* actions,
                                   const posix_spawnattr_t* attributes, char* const words[],
                                   char* const environment[]) noexcept {
  return StartBeside(
      path, [&] { return real(posix_spawn)(pid, path, actions, attributes, words, environment); });
}
VFIOLAB_INTERPOSED int posix_spawnp(pid_t* pid, const char* command,
                                    const posix_spawn_file_actions_t* actions,
                                    const posix_spawnattr_t* attributes, char* const words[],
                                    char* const environment[]) noexcept {
  return StartBeside(vfiolab::FindProgram(command), [&] {
    return real(posix_spawnp)(pid, command, actions, attributes, words, environment);
  });
}
