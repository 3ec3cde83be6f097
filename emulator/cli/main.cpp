// The command line: options in, one command out.
#include <algorithm>
#include <string_view>

#include <CLI/CLI.hpp>

#include "launcher/commands.hpp"

using namespace vfiolab::launcher;

namespace {

constexpr const char* kCuseHelp = "make the nodes in /dev/vfio character devices (needs /dev/cuse)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A user-mode IOMMU and VFIO emulator for testing."};
  app.require_subcommand(1);
  app.set_version_flag("--version", VFIOLAB_VERSION);
  int status = 0;
  // The command behind "--" is kept from CLI11, which makes two words of "[a,b]".
  using namespace std::string_view_literals;
  char** const dashes =
      argc > 1 && argv[1] == "run"sv ? std::find(argv, argv + argc, "--"sv) : argv + argc;
  char** const behind = std::min(dashes + 1, argv + argc);

  RunOptions run;
  CLI::App* run_command = app.add_subcommand("run", "run a program against an emulated machine");
  auto* topology = run_command->add_option("-t,--topology", run.topology, "topology file (JSON)");
  auto* session = run_command->add_option("--session", run.session, "join this running serve");
  topology->excludes(session);
  run_command->add_option("--trace", run.trace, "write every input and output of the core here")
      ->excludes(session);
  auto* cuse = run_command->add_flag("--cuse", run.cuse, kCuseHelp)->excludes(session);
  auto* no_trap = run_command->add_flag(
      "!--no-trap", run.trap,
      "do not trace the client, which then cannot map registers: for gdb, strace");
  auto* exact =
      run_command
          ->add_flag(
              "--exact", run.exact,
              "also where FUSE has an answer of its own: read and write with a buffer that is "
              "not there, fsync, epoll_ctl ...; each read and write of any file takes longer")
          ->excludes(no_trap);
  run_command
      ->add_flag("--in-process", run.in_process,
                 "the machine lives in the program's own process: no privileges, and faster")
      ->excludes(session)
      ->excludes(no_trap)
      ->excludes(cuse)
      ->excludes(exact);
  run_command->add_option("command", run.command, "the program and its arguments");
  run_command->prefix_command(false);
  run_command->callback([&] {
    run.command.insert(run.command.end(), behind, argv + argc);
    if (run.command.empty()) throw CLI::RequiredError("command");
    if (run.topology.empty() && run.session.empty())
      throw CLI::RequiredError("-t FILE or --session NAME");
    status = Run(run);
  });

  ServeOptions serve;
  CLI::App* serve_command =
      app.add_subcommand("serve", "mount an emulated machine for many clients");
  serve_command->add_option("-t,--topology", serve.topology, "topology file (JSON)")->required();
  serve_command->add_option("--mount", serve.mount_point, "an existing directory");
  serve_command->add_option("--session", serve.session, "name (default: the topology's)");
  serve_command->add_option("--trace", serve.trace,
                            "write every input and output of the core here");
  serve_command->add_flag("--cuse", serve.cuse, kCuseHelp);
  serve_command->callback([&] { status = Serve(serve); });

  std::string file;
  CLI::App* check_command = app.add_subcommand("check", "report all errors of a topology file");
  check_command->add_option("-t,--topology", file, "topology file (JSON)")->required();
  check_command->callback([&] { status = Check(file); });

  bool json = false;
  CLI::App* show_command = app.add_subcommand("show", "show a topology as a tree");
  show_command->add_option("-t,--topology", file, "topology file (JSON)")->required();
  show_command->add_flag("--json", json, "for programs");
  show_command->callback([&] { status = Show(file, json); });

  app.add_subcommand("models", "list the device models")->callback([&] { status = ListModels(); });

  CLI::App* compare_command = app.add_subcommand(
      "compare", "play a scenario by every interface that VFIO ever had, side by side");
  compare_command->add_option("scenario", file, "scenario file (JSON)")->required();
  compare_command->callback([&] { status = Compare(file); });

  CLI11_PARSE(app, static_cast<int>(dashes - argv), argv);
  return status;
}
