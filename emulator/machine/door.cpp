#include "machine/door.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/machine.hpp"

namespace vfiolab {
namespace {

// Writes down what the core reads of the caller: an input as much as the call itself.
class TracedMemory final : public ClientMemory {
 public:
  TracedMemory(ClientMemory& memory, Trace& trace) : memory_(memory), trace_(trace) {}

  Result<> Read(ClientAddress from, std::span<std::byte> to) override {
    Result<> result = memory_.Read(from, to);
    trace_.Input([&] {
      return fmt::format("memory {:#x} {}", Raw(from), result ? Hex(to) : Describe(result.error()));
    });
    return result;
  }
  Result<> Write(ClientAddress to, std::span<const std::byte> from) override {
    trace_.Output([&] { return fmt::format("memory {:#x} {}", Raw(to), Hex(from)); });
    return memory_.Write(to, from);
  }

 private:
  ClientMemory& memory_;
  Trace& trace_;
};

class TracedContext final : public CallContext {
 public:
  TracedContext(CallContext& caller, Trace& trace)
      : caller_(caller), trace_(trace), memory_(caller.memory(), trace) {}

  pid_t tid() const override { return caller_.tid(); }
  ClientMemory& memory() override { return memory_; }
  Result<std::shared_ptr<AddressSpace>> address_space() override { return caller_.address_space(); }
  Result<Eventfd> ImportEventfd(int fd) override { return caller_.ImportEventfd(fd); }
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) override {
    return caller_.ImportOpenFile(fd);
  }
  bool can_map_regions() const override { return caller_.can_map_regions(); }
  bool can_trap() const override { return caller_.can_trap(); }
  bool is_32_bit() const override { return caller_.is_32_bit(); }
  Result<> FromClient(std::span<const std::byte> part) override {
    return Told(caller_.FromClient(part));
  }
  Result<> ToClient(std::span<const std::byte> part) override {
    return Told(caller_.ToClient(part));
  }

 private:
  // Where the client's buffer ends.
  Result<> Told(Result<> reached) {
    if (!reached) trace_.Input([&] { return "buffer " + Describe(reached.error()); });
    return reached;
  }

  CallContext& caller_;
  Trace& trace_;
  TracedMemory memory_;
};

}  // namespace

template <class F>
void Door::Enter(Time now, F&& text) {
  machine_.trace().Input([&] {
    return fmt::format("t={} {}", std::max(now, machine_.clock().now()).count(), text());
  });
  machine_.HearStores();
  machine_.clock().AdvanceTo(now);
}

void Door::Leave(Reply& reply) {
  machine_.trace().Output([&]() -> std::string {
    if (reply.deferred()) return "deferred";
    const Result<long>& value = reply.completion().value;
    return value ? fmt::format("= {}", *value) : fmt::format("= -{}", Describe(value.error()));
  });
}

Reply Door::Open(Time now, CallContext& caller, FileNode& node, std::string_view path, int flags) {
  Enter(now, [&] { return fmt::format("tid={} open {} {:#o}", caller.tid(), path, flags); });
  TracedContext traced(caller, machine_.trace());
  Reply reply = node.Open(traced, flags);
  Leave(reply);
  return reply;
}

Reply Door::Ioctl(Time now, CallContext& caller, OpenFile& file, u32 command, u64 argument) {
  Enter(now, [&] {
    return fmt::format("tid={} ioctl {} {:#x} {:#x}", caller.tid(), file.Name(), command, argument);
  });
  TracedContext traced(caller, machine_.trace());
  Reply reply = file.Ioctl(traced, command, argument);
  Leave(reply);
  return reply;
}

Reply Door::Seek(Time now, CallContext& caller, OpenFile& file, off_t offset, int whence) {
  Enter(now, [&] {
    return fmt::format("tid={} seek {} {} {}", caller.tid(), file.Name(), offset, whence);
  });
  Reply reply = file.Seek(offset, whence);
  Leave(reply);
  return reply;
}

Reply Door::Read(Time now, CallContext& caller, OpenFile& file, std::span<std::byte> to,
                 u64 offset) {
  Enter(now, [&] {
    return fmt::format("tid={} read {} {:#x} {}", caller.tid(), file.Name(), offset, to.size());
  });
  TracedContext traced(caller, machine_.trace());
  Reply reply = file.Read(traced, to, offset);
  if (!reply.deferred() && reply.completion().value)
    machine_.trace().Output([&] {
      return "data " + Hex(to.first(static_cast<std::size_t>(*reply.completion().value)));
    });
  Leave(reply);
  return reply;
}

Reply Door::Write(Time now, CallContext& caller, OpenFile& file, std::span<const std::byte> from,
                  u64 offset) {
  Enter(now, [&] {
    return fmt::format("tid={} write {} {:#x} {}", caller.tid(), file.Name(), offset, Hex(from));
  });
  TracedContext traced(caller, machine_.trace());
  Reply reply = file.Write(traced, from, offset);
  Leave(reply);
  return reply;
}

Reply Door::Load(Time now, CallContext& caller, OpenFile& file, std::span<std::byte> to,
                 u64 offset) {
  Enter(now, [&] {
    return fmt::format("tid={} load {} {:#x} {}", caller.tid(), file.Name(), offset, to.size());
  });
  Reply reply = file.Load(caller, to, offset);
  if (!reply.deferred() && reply.completion().value)
    machine_.trace().Output([&] { return "data " + Hex(to); });
  Leave(reply);
  return reply;
}

Reply Door::Store(Time now, CallContext& caller, OpenFile& file, std::span<const std::byte> from,
                  u64 offset) {
  Enter(now, [&] {
    return fmt::format("tid={} store {} {:#x} {}", caller.tid(), file.Name(), offset, Hex(from));
  });
  Reply reply = file.Store(caller, from, offset);
  Leave(reply);
  return reply;
}

Result<u64> Door::Mmap(Time now, CallContext& caller, OpenFile& file, const MmapRequest& request) {
  Enter(now, [&] {
    return fmt::format("tid={} mmap {} {:#x} {:#x} {}", caller.tid(), file.Name(), request.offset,
                       request.length, request.shared ? "shared" : "private");
  });
  Result<u64> result = file.Mmap(caller, request);
  machine_.trace().Output([&] {
    if (!result) return "= -" + Describe(result.error());
    return *result == request.offset ? std::string("= 0") : fmt::format("= 0 at {:#x}", *result);
  });
  return result;
}

void Door::Unmap(Time now, CallContext& caller, ClientAddress from, u64 size) {
  Enter(now,
        [&] { return fmt::format("tid={} unmap {:#x} {:#x}", caller.tid(), Raw(from), size); });
  machine_.OnUnmap(caller, from, size);
}

Result<> Door::Message(Time now, pid_t tid, NetlinkFamily& family, const NetlinkRequest& request) {
  constexpr std::size_t kMost = 256;
  Enter(now, [&] {
    return fmt::format("tid={} message {} net={} port={} seq={} {}", tid, family.name(),
                       request.from.net, request.from.port, request.sequence,
                       Hex(request.payload, kMost));
  });
  Result<> result = family.Handle(request);
  machine_.trace().Output(
      [&] { return result ? std::string("= 0") : "= -" + Describe(result.error()); });
  return result;
}

void Door::Release(Time now, std::shared_ptr<OpenFile> file) {
  Enter(now, [&] { return "release " + file->Name(); });
}

void Door::Tick(Time now) {
  Enter(now, [] { return "time"; });
}

void Door::Event(Time now, std::string_view what, const std::function<void()>& act) {
  Enter(now, [&] { return std::string(what); });
  act();
}

}  // namespace vfiolab
