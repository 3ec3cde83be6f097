// A value, or why there is none.
#pragma once
#include <cerrno>
#include <string>
#include <utility>
#include <variant>

#include <boost/assert/source_location.hpp>

namespace vfiolab {

// What a client is told (the errno) and what the trace is told (the reason, with values, and the
// line that decided).
struct Error {
  int code;
  std::string reason;
  boost::source_location where;
};

template <class E>
struct Failure {
  E error;
};
template <class E>
Failure(E) -> Failure<E>;  // clang 14 does not deduce aggregates by itself

[[nodiscard]] inline Failure<Error> Fail(int code, std::string reason,
                                         boost::source_location where = BOOST_CURRENT_LOCATION) {
  return {{code, std::move(reason), where}};
}

struct Success {};  // what a Result<> holds

template <class T = Success, class E = Error>
class [[nodiscard]] Result {
 public:
  Result() requires std::same_as<T, Success> : state_(std::in_place_index<0>) {}
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure<E> failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  const T& operator*() const& { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const E& error() const& { return std::get<1>(state_); }
  E&& error() && { return std::get<1>(std::move(state_)); }
  void IgnoreError() const {}  // says so, where a failure does not matter

 private:
  std::variant<T, E> state_;
};

// Evaluates to the value, or returns the failure to the caller.
#define TRY(...)                                                                 \
  __extension__({                                                                \
    auto&& try_result_ = (__VA_ARGS__);                                          \
    if (!try_result_) return ::vfiolab::Failure{std::move(try_result_).error()}; \
    *std::move(try_result_);                                                     \
  })

}  // namespace vfiolab
