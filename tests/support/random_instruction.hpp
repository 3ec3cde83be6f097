// Instructions at random, each with one operand in memory.
#pragma once
#include <random>
#include <string>
#include <vector>

#include "support/single_step.hpp"

namespace vfiolab::test {

using Random = std::mt19937_64;

// Words of a form:
//   lock, o, w, rep   perhaps a LOCK, 66, REX.W, REP or REPNE prefix
//   W                 REX.W
//   66 F2 F3          in front of the opcode a prefix that belongs to it; all other hexadecimal
//                     words are opcode bytes
//   vex.P.M.W.L       a VEX prefix with these fields; W and L may be x for either; with .v behind
//                     it, the instruction has a third register
//   /r, /0 .. /7      a ModRM byte; reg is a register, or this
//   ib, iz            an immediate of one byte, of two or four
//   bit               reg is the number of a bit
//   stack, string     it uses rsp, or rsi and rdi
//   equal             perhaps rax and rdx hold what is in memory
//   aligned           the operand must be
std::vector<std::byte> MakeInstruction(const std::string& form, const SingleStep& step,
                                       Random& random, ThreadState& state, u64& operand);

}  // namespace vfiolab::test
