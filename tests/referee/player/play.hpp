// Plays one trace: starts the client processes and has them act one after the other.
#pragma once
#include <string>

#include "machine.hpp"

namespace player {

// The trace with its results. All client processes are gone afterwards.
std::string Play(const Machine& machine, const std::string& trace);

// What a client process that ran itself anew goes on with: player --resume SOCKET DEVICES NAMES...
int Resume(int argc, char** argv);

}  // namespace player
