// SIGSEGV and SIGBUS of this process: some are expected.
#pragma once
#include <signal.h>
#include <ucontext.h>

namespace vfiolab {

// Sees to a fault, and returns whether it was its own: then the thread goes on as `context` says.
// May make another of the two signals of it, by info.si_signo.
// Called in a handler; a thread that faults there again ends the process.
using FaultHandler = bool (*)(siginfo_t& info, ucontext_t& context);

// `handler` is asked after those that were added earlier; what none of them wants goes to whoever
// handled these signals before. One that is there already is not added again; but whoever has come
// to handle the signals meanwhile is then asked last. At most 4.
void AddFaultHandler(FaultHandler handler);

// As sigaction() of someone who does not know of us: sets who is asked after us. False when we do
// not handle that signal, and nothing has happened.
bool SetFaultAction(int signal, const struct sigaction* action, struct sigaction* before);

}  // namespace vfiolab
