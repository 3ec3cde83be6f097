#include "lease/guests.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "in_process/path_walk.hpp"
#include "lease/placeholder.hpp"

namespace vfiolab::lease {

struct Guests::Guest {
  Channel channel;
  std::shared_ptr<PendingCall> pending;  // its call waits
};

namespace {

class GuestCaller final : public Caller {
 public:
  using Caller::Caller;
  bool can_trap() const override { return true; }
  // Of a write.
  void set_had(std::span<const std::byte> had) { had_ = had; }
  Result<> FromClient(std::span<const std::byte> part) override {
    if (part.data() + part.size() <= had_.data() + had_.size()) return {};
    return Fail(EFAULT, fmt::format("the caller's buffer ends after {} bytes", had_.size()));
  }

 private:
  std::span<const std::byte> had_;
};

}  // namespace

// What calls of other processes need; few have any.
struct Guests::Services {
  Turn turn;
  MmCache mms;
  CallerServices callers;
  explicit Services(Guests& guests) : mms(turn, guests), callers{turn, mms, guests, true, {}, {}} {}
};

Guests::Guests(in_process::Process& process, Lease& lease, Journal& journal)
    : process_(process), lease_(lease), journal_(journal) {}

Guests::~Guests() = default;

void Guests::AddDescriptors(std::vector<int>& fds) const {
  if (lease_.listener() >= 0) fds.push_back(lease_.listener());
  if (lent_.fd() >= 0) fds.push_back(lent_.fd());
  for (const auto& guest : guests_) fds.push_back(guest->channel.fd());
}

std::size_t Guests::descriptor_count() const {
  return guests_.size() + (lease_.listener() >= 0 ? 1 : 0) + (lent_.fd() >= 0 ? 1 : 0);
}

bool Guests::idle() const {
  return lent_.empty() &&
         std::ranges::none_of(guests_, [](const auto& guest) { return guest->pending != nullptr; });
}

void Guests::Leave() { guests_.clear(); }

void Guests::ReleaseReturned() {
  for (LentFiles::Shared& opened : lent_.TakeReturned())
    if (opened.use_count() == 1)
      process_.host().door().Release(process_.now(), std::move(opened->file));
}

void Guests::Serve(const std::vector<int>& ready) {
  const auto is_ready = [&](int fd) { return std::ranges::count(ready, fd) != 0; };
  ReleaseReturned();         // what was closed before it was asked
  const auto all = guests_;  // a call may end some
  for (const auto& guest : all) {
    if (!is_ready(guest->channel.fd())) continue;
    // Who has asked waits for the answer.
    if (const auto message = guest->channel.Receive<Request>(false)) Handle(*guest, *message);
    if (guest->channel.gone() && guest->pending != nullptr) guest->pending->Cancel();
  }
  std::erase_if(guests_, [](const auto& guest) { return guest->channel.gone(); });
  while (lease_.listener() >= 0 && is_ready(lease_.listener())) {
    UniqueFd socket(::accept4(lease_.listener(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) break;
    if (services_ == nullptr) services_ = std::make_unique<Services>(*this);
    guests_.push_back(std::make_shared<Guest>(Guest{Channel(std::move(socket)), nullptr}));
  }
}

LentFiles::Shared Guests::FindFile(u64 number) {
  if (auto lent = lent_.Find(number)) return lent;
  for (const int fd : process_.descriptors().numbers()) {
    const auto& opened = process_.descriptors().Find(fd);
    if (opened->number != number) continue;
    lent_.Add(opened, fd);
    return opened;
  }
  return nullptr;
}

Result<std::shared_ptr<OpenFile>> Guests::FindOpenFile(pid_t tid, int fd) {
  const auto found = Placeholder::Of(tid, fd);
  const auto opened = found && found->lease == lease_.number() ? FindFile(found->number) : nullptr;
  if (opened != nullptr) return opened->file;
  TRY(StatDescriptor(tid, fd));
  return std::shared_ptr<OpenFile>();
}

Reply Guests::Open(Caller& caller, const std::string& path, int flags, std::string& place) {
  const auto found = TRY(in_process::Walk(process_.host().root(), path, (flags & O_NOFOLLOW) == 0));
  place = found.path;
  auto* node = dynamic_cast<FileNode*>(found.node.get());
  if (node == nullptr) return Fail(EISDIR, found.path + " is no file");
  return process_.host().door().Open(process_.now(), caller, *node, found.path, flags);
}

void Guests::Handle(Guest& guest, const Message& message) {
  const auto& [request, bytes, descriptor] = message;
  const auto& arguments = request.arguments;
  GuestCaller caller(services_->callers, request.tid);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  switch (request.kind) {
    case Request::Kind::kOpen: {
      const int flags = static_cast<int>(arguments[0]);
      std::string path;
      Reply reply = Open(caller, text, flags, path);
      return Finish(guest, std::move(reply), path, flags);
    }
    case Request::Kind::kUnmap:
      process_.host().door().Unmap(process_.now(), caller, ClientAddress{arguments[0]},
                                   arguments[1]);
      return Finish(guest, 0, {}, 0);
    case Request::Kind::kAttributes: {
      const auto number = [&](std::size_t i) {
        return arguments[i] == 0 ? std::nullopt : std::optional(static_cast<u32>(arguments[i] - 1));
      };
      const Result<> changed = process_.SetAttributes(text, number(0), {number(1), number(2)});
      if (changed)
        journal_.Append({.path = text,
                         .text = {},
                         .is_attributes = true,
                         .mode = number(0),
                         .owner = {number(1), number(2)}});
      return Finish(guest, changed ? Reply(0) : Reply(Failure{changed.error()}), {}, 0);
    }
    case Request::Kind::kNetlink:
      return Netlink(guest, caller, message);
    default:
      break;
  }
  const auto opened = request.lease == lease_.number() ? FindFile(request.file) : nullptr;
  if (opened == nullptr)
    return Finish(guest, Fail(ENODEV, "the file went with another process"), {}, 0);
  HandleFile(guest, message, opened);
}

void Guests::HandleFile(Guest& guest, const Message& message, const LentFiles::Shared& opened) {
  const auto& [request, bytes, descriptor] = message;
  const auto& arguments = request.arguments;
  GuestCaller caller(services_->callers, request.tid);
  Door& door = process_.host().door();
  OpenFile& file = *opened->file;
  switch (request.kind) {
    case Request::Kind::kFind: {
      Answer answer{.opened = true, .facts = FileFacts::Of(file), .open_flags = opened->flags};
      answer.facts.lease = lease_.number(), answer.facts.file = request.file;
      guest.channel.Send(answer, std::as_bytes(std::span{opened->path}));
      return;
    }
    case Request::Kind::kIoctl:
      return Finish(
          guest,
          door.Ioctl(process_.now(), caller, file, static_cast<u32>(arguments[0]), arguments[1]),
          {}, 0);
    case Request::Kind::kRead:
    case Request::Kind::kLoad:
      return Read(guest, caller, message, file);
    case Request::Kind::kWrite:
      return Write(guest, message, *opened);
    case Request::Kind::kStore:
      return Finish(guest, door.Store(process_.now(), caller, file, bytes, arguments[0]), {}, 0);
    case Request::Kind::kSeek:
      return Finish(guest,
                    door.Seek(process_.now(), caller, file, static_cast<off_t>(arguments[0]),
                              static_cast<int>(arguments[1])),
                    {}, 0);
    case Request::Kind::kMmap:
      return Mmap(guest, caller, message, file);
    default:
      return Finish(guest, Fail(ENOSYS, "an unknown request"), {}, 0);
  }
}

void Guests::Read(Guest& guest, Caller& caller, const Message& message, OpenFile& file) {
  constexpr u64 kMost = 64_KiB;
  Door& door = process_.host().door();
  std::vector<std::byte> bytes(std::min(message.head.arguments[0], kMost));
  const u64 offset = message.head.arguments[1];
  const bool loads = message.head.kind == Request::Kind::kLoad;
  Reply reply = loads ? door.Load(process_.now(), caller, file, bytes, offset)
                      : door.Read(process_.now(), caller, file, bytes, offset);
  if (!reply.deferred() && reply.completion().value) {
    bytes.resize(loads ? bytes.size() : static_cast<std::size_t>(*reply.completion().value));
    reply.completion().data = std::move(bytes);
  }
  Finish(guest, std::move(reply), {}, 0);
}

void Guests::Write(Guest& guest, const Message& message,
                   const in_process::OpenDescription& opened) {
  GuestCaller caller(services_->callers, message.head.tid);
  const u64 offset = message.head.arguments[0], had = message.head.arguments[1];
  caller.set_had(std::span{message.bytes}.first(std::min<u64>(had, message.bytes.size())));
  Reply reply =
      process_.host().door().Write(process_.now(), caller, *opened.file, message.bytes, offset);
  std::function<void(const Result<long>&)> done;
  if (opened.file->is_regular())
    done = [this,
            entry = Journal::Entry{.path = opened.path, .text = message.bytes, .offset = offset}](
               const Result<long>& value) {
      if (value) journal_.Append(entry);
    };
  Finish(guest, std::move(reply), {}, 0, std::move(done));
}

void Guests::Mmap(Guest& guest, Caller& caller, const Message& message, OpenFile& file) {
  const auto& arguments = message.head.arguments;
  const auto begins = process_.host().door().Mmap(process_.now(), caller, file,
                                                  {.offset = arguments[0],
                                                   .length = arguments[1],
                                                   .shared = arguments[2] != 0,
                                                   .writes = arguments[3] != 0});
  const int memory = file.shared_memory().fd;
  const Answer answer{.value = begins ? static_cast<long>(*begins) : -begins.error().code,
                      .traps = begins && process_.IsTrap(memory, *begins)};
  if (begins) process_.OnMapped(memory);
  guest.channel.Send(answer, {}, begins ? memory : -1);
}

void Guests::Netlink(Guest& guest, Caller& caller, const Message& message) {
  SocketCall call{.tid = message.head.tid, .arguments = message.head.arguments};
  if (message.bytes.size() == sizeof call.number)
    std::memcpy(&call.number, message.bytes.data(), sizeof call.number);
  auto copy = DuplicateDescriptor(call.tid, call.descriptor());
  const auto socket = copy ? NetlinkSocket::Of(*copy) : std::nullopt;
  const auto sent =
      socket ? process_.sockets().Send(call, *socket, static_cast<CallContext&>(caller).memory())
             : std::nullopt;
  // An answer without a file: the kernel has to make the call.
  guest.channel.Send(Answer{.value = sent.value_or(0), .opened = sent.has_value()}, {});
}

void Guests::Finish(Guest& guest, Reply reply, std::string path, int flags,
                    std::function<void(const Result<long>&)> done) {
  if (!reply.deferred()) {
    Completion completion = std::move(reply.completion());
    if (done) done(completion.value);
    const auto bytes = std::move(completion.data);
    return Send(guest, std::move(completion), path, flags, bytes);
  }
  guest.pending = reply.pending();
  guest.pending->OnDone([this, &guest, path, flags, done = std::move(done)](Completion completion) {
    guest.pending = nullptr;
    if (done) done(completion.value);
    const auto bytes = std::move(completion.data);
    Send(guest, std::move(completion), path, flags, bytes);
  });
}

void Guests::Send(Guest& guest, Completion completion, const std::string& path, int flags,
                  std::span<const std::byte> bytes) {
  Answer answer{.value = completion.value ? *completion.value : -completion.value.error().code};
  if (!completion.value || completion.opened == nullptr) {
    guest.channel.Send(answer, completion.value ? bytes : std::span<const std::byte>());
    return;
  }
  if (path.empty()) flags = completion.open_flags;
  auto opened = std::make_shared<in_process::OpenDescription>(in_process::OpenDescription{
      std::move(completion.opened), path, flags, process_.descriptors().NewNumber()});
  answer.opened = true;
  answer.open_flags = flags;
  answer.facts = FileFacts::Of(*opened->file);
  answer.facts.lease = lease_.number(), answer.facts.file = opened->number;
  const UniqueFd descriptor(
      ::memfd_create(Placeholder::Of(*opened, lease_.number()).Name().c_str(), MFD_CLOEXEC));
  lent_.Add(opened, descriptor.get());
  guest.channel.Send(answer, std::as_bytes(std::span{path}), descriptor.get());
}

}  // namespace vfiolab::lease
