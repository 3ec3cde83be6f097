#include "preload/zydis.hpp"

#include <Zydis/Zydis.h>
#include <dlfcn.h>

namespace vfiolab::preload {
namespace {

struct {
  decltype(&ZydisDecoderInit) decoder_init;
  decltype(&ZydisDecoderDecodeFull) decode;
  decltype(&ZydisRegisterGetClass) register_class;
  decltype(&ZydisRegisterGetLargestEnclosing) enclosing_register;
  decltype(&ZydisRegisterGetId) register_id;
  decltype(&ZydisFormatterInit) formatter_init;
  decltype(&ZydisFormatterFormatInstruction) format;
} zydis{};

template <class F>
bool Find(void* library, const char* name, F*& found) {
  found = reinterpret_cast<F*>(::dlsym(library, name));
  return found != nullptr;
}

}  // namespace

bool LoadZydis() {
  if (zydis.decode != nullptr) return true;
  void* library = ::dlopen(VFIOLAB_ZYDIS, RTLD_NOW | RTLD_LOCAL);
  return library != nullptr && Find(library, "ZydisDecoderInit", zydis.decoder_init) &&
         Find(library, "ZydisRegisterGetClass", zydis.register_class) &&
         Find(library, "ZydisRegisterGetLargestEnclosing", zydis.enclosing_register) &&
         Find(library, "ZydisRegisterGetId", zydis.register_id) &&
         Find(library, "ZydisFormatterInit", zydis.formatter_init) &&
         Find(library, "ZydisFormatterFormatInstruction", zydis.format) &&
         Find(library, "ZydisDecoderDecodeFull", zydis.decode);
}

}  // namespace vfiolab::preload

using vfiolab::preload::zydis;

extern "C" {

ZyanStatus ZydisDecoderInit(ZydisDecoder* decoder, ZydisMachineMode mode, ZydisStackWidth width) {
  return zydis.decode == nullptr ? ZYAN_STATUS_FAILED : zydis.decoder_init(decoder, mode, width);
}
// All others are called with what it has found.
ZyanStatus ZydisDecoderDecodeFull(const ZydisDecoder* decoder, const void* code, ZyanUSize size,
                                  ZydisDecodedInstruction* instruction,
                                  ZydisDecodedOperand* operands) {
  return zydis.decode == nullptr ? ZYAN_STATUS_FAILED
                                 : zydis.decode(decoder, code, size, instruction, operands);
}
ZydisRegisterClass ZydisRegisterGetClass(ZydisRegister reg) { return zydis.register_class(reg); }
ZydisRegister ZydisRegisterGetLargestEnclosing(ZydisMachineMode mode, ZydisRegister reg) {
  return zydis.enclosing_register(mode, reg);
}
ZyanI8 ZydisRegisterGetId(ZydisRegister reg) { return zydis.register_id(reg); }
ZyanStatus ZydisFormatterInit(ZydisFormatter* formatter, ZydisFormatterStyle style) {
  return zydis.formatter_init(formatter, style);
}
ZyanStatus ZydisFormatterFormatInstruction(const ZydisFormatter* formatter,
                                           const ZydisDecodedInstruction* instruction,
                                           const ZydisDecodedOperand* operands, ZyanU8 count,
                                           char* buffer, ZyanUSize length, ZyanU64 address,
                                           void* user_data) {
  return zydis.format(formatter, instruction, operands, count, buffer, length, address, user_data);
}
}
