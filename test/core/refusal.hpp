// What a call was refused with, so that a test can compare SQLSTATE and message.
#pragma once
#include <optional>
#include <utility>

#include "core/error.hpp"

namespace purser::test {

template <typename Call>
std::optional<Error> refusal(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

template <typename Call>
bool refused_with(const char* code, Call&& call) {
  const std::optional<Error> error = refusal(std::forward<Call>(call));
  return error && std::string(error->code) == code;
}

}  // namespace purser::test
